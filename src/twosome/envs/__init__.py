"""Gymnasium environments whose decisions come with words. Importing this package registers them; each is loaded when made.

No checker and no order-enforcing wrapper is put around an environment: they check these things themselves, faster.
"""

from gymnasium.envs.registration import register

register(
    id="twosome/Overcooked-v0",
    entry_point="twosome.envs.overcooked.env:OvercookedEnv",
    order_enforce=False,
    disable_env_checker=True,
)
