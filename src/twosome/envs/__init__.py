"""Gymnasium environments whose decisions have prompts. Importing this package registers them.

An environment's module is loaded when it is first made. Gymnasium's checker and order-enforcing wrapper are disabled, since each
environment checks actions and their order itself, which is faster.
"""

from gymnasium.envs.registration import register

from twosome.envs.check import check_env
from twosome.envs.in_words import InWords

__all__ = ["InWords", "check_env"]

for _name, _class in (
    ("Overcooked", "overcooked.env:OvercookedEnv"),
    ("VirtualHome", "virtualhome.env:VirtualHomeEnv"),
    ("BabyAIText", "babyai_text.env:BabyAITextEnv"),
    ("FrozenLake", "frozen_lake:FrozenLakeEnv"),
    ("Sokoban", "sokoban.env:SokobanEnv"),
    ("TextWorld", "textworld.env:TextWorldEnv"),
):
    register(f"twosome/{_name}-v0", f"twosome.envs.{_class}", order_enforce=False, disable_env_checker=True)
