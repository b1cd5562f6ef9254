"""What several tests of Overcooked need."""

import gzip
import json
from pathlib import Path
from typing import Any

import gymnasium

import twosome.envs  # noqa: F401 - registers the environments
from twosome.envs.overcooked.env import OvercookedEnv

DATA = Path(__file__).parents[1] / "data"
RECORDED_TASKS = ("tomato_salad", "tomato_lettuce_salad")


def make(**options: Any) -> OvercookedEnv:
    """The registered environment."""
    env = gymnasium.make("twosome/Overcooked-v0", **options)
    assert isinstance(env.unwrapped, OvercookedEnv)
    return env.unwrapped


def records(task: str) -> list[dict[str, Any]]:
    """The episodes recorded from the reference."""
    with gzip.open(DATA / f"overcooked_{task}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def names(env: OvercookedEnv) -> list[str]:
    """The macro-actions' names, by id."""
    from twosome.envs.overcooked.macro_actions import macro_actions

    return [macro_action.name for macro_action in macro_actions(env.kitchen)]


def play(env: OvercookedEnv, *actions: str) -> dict[str, Any]:
    """Resets and runs macro-actions by name; the last step's info, with its reward and endings."""
    _, info = env.reset()
    result = dict(info)
    for action in actions:
        obs, reward, terminated, truncated, info = env.step(names(env).index(action))
        result = {**info, "obs": obs, "reward": reward, "terminated": terminated, "truncated": truncated}
    return result
