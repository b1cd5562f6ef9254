"""Gymnasium environments whose decisions have prompts. Importing this package registers them.

An environment's module is loaded when it is first made. Gymnasium's checker and order-enforcing wrapper are disabled, since each
environment checks actions and their order itself, which is faster.
"""

from gymnasium.envs.registration import register

register(
    id="twosome/Overcooked-v0",
    entry_point="twosome.envs.overcooked.env:OvercookedEnv",
    order_enforce=False,
    disable_env_checker=True,
)

register(
    id="twosome/VirtualHome-v0",
    entry_point="twosome.envs.virtualhome.env:VirtualHomeEnv",
    order_enforce=False,
    disable_env_checker=True,
)
"""VirtualHome: one agent, an apartment, household tasks. The specification is the docstring of `env.VirtualHomeEnv`."""

register(
    id="twosome/BabyAIText-v0",
    entry_point="twosome.envs.babyai_text.env:BabyAITextEnv",
    order_enforce=False,
    disable_env_checker=True,
)
