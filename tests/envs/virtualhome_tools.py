"""What several tests of VirtualHome need."""

import gzip
import json
from pathlib import Path
from typing import Any

import gymnasium

import twosome.envs  # noqa: F401 - registers the environments
from twosome.envs.virtualhome.env import VirtualHomeEnv
from twosome.envs.virtualhome.simulator import State

DATA = Path(__file__).parents[1] / "data"
RECORDED_TASKS = ("food_preparation", "entertainment")
TASKS = (*RECORDED_TASKS, "cheese", "hamburger", "apple_pie", "pizza", "washing_plate", "laundry")
FOOD = ("walk to the pancake", "grab the pancake", "walk to the microwave", "open the microwave",
        "put the pancake in the microwave", "close the microwave")  # fmt: skip
FUN = ("walk to the chips", "grab the chips", "walk to the milk", "grab the milk", "walk to the living room",
       "walk to the coffee table", "put the chips on the coffee table", "walk to the TV", "turn on the TV",
       "walk to the sofa", "sit on the sofa")  # fmt: skip


def make(**options: Any) -> VirtualHomeEnv:
    """The registered environment."""
    env = gymnasium.make("twosome/VirtualHome-v0", **options)
    assert isinstance(env.unwrapped, VirtualHomeEnv)
    return env.unwrapped


def records(task: str) -> list[dict[str, Any]]:
    """The episodes recorded from the reference."""
    with gzip.open(DATA / f"virtualhome_{task}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def phrases(env: VirtualHomeEnv) -> list[str]:
    """The actions' words, by id."""
    return [action.phrase for action in env.task.actions]


def play(env: VirtualHomeEnv, *actions: str) -> dict[str, Any]:
    """Resets and does actions, by their words; the last step's info, with its observation, reward and endings."""
    obs, info = env.reset()
    result = {**info, "obs": obs}
    for action in actions:
        obs, reward, terminated, truncated, info = env.step(phrases(env).index(action))
        result = {**info, "obs": obs, "reward": reward, "terminated": terminated, "truncated": truncated}
    return result


def states(env: VirtualHomeEnv) -> list[State]:
    """All states that any actions reach, also such as are not admissible; what ends an episode is not gone on from."""
    found = {env.initial_state: None}
    for state in (order := [env.initial_state]):
        for action in range(env.action_space.n):
            transition = env.transition(state, action)
            if not transition.terminated and transition.state not in found:
                found[transition.state] = None
                order.append(transition.state)
    return order
