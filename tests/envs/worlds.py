"""What several tests of environments need: making them, playing actions by name, recorded episodes."""

import gzip
import json
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium

import twosome.envs  # noqa: F401 - registers the environments

DATA = Path(__file__).parents[1] / "data"
HOUSEHOLD = ("food_preparation", "entertainment", "cheese", "hamburger", "apple_pie", "pizza", "washing_plate", "laundry")

SALAD = ("get tomato", "go to board 1", "chop", "get tomato", "get bowl", "deliver")
FOOD = ("walk to the pancake", "grab the pancake", "walk to the microwave", "open the microwave",
        "put the pancake in the microwave", "close the microwave")  # fmt: skip
FUN = ("walk to the chips", "grab the chips", "walk to the milk", "grab the milk", "walk to the living room",
       "walk to the coffee table", "put the chips on the coffee table", "walk to the TV", "turn on the TV",
       "walk to the sofa", "sit on the sofa")  # fmt: skip
"""Episodes that reach the goal: the small kitchen's, food preparation's, entertainment's."""


def make(name: str, **options: Any) -> Any:
    """The registered environment, unwrapped."""
    return gymnasium.make(f"twosome/{name}-v0", **options).unwrapped


kitchen, home, room = partial(make, "Overcooked"), partial(make, "VirtualHome"), partial(make, "BabyAIText")


def names(env: Any) -> list[str]:
    """The actions' names by id; in a household their plain phrases."""
    return [action.phrase for action in env.task.actions] if hasattr(env, "observation_names") else list(env.action_names)


def play(env: Any, *actions: str) -> dict[str, Any]:
    """Resets and does actions by name; the last step's info, with its observation, reward and endings."""
    obs, info = env.reset()
    result = {**info, "obs": obs}
    for action in actions:
        obs, reward, terminated, truncated, info = env.step(names(env).index(action))
        result = {**info, "obs": obs, "reward": reward, "terminated": terminated, "truncated": truncated}
    return result


def said(env: Any, *actions: str) -> dict[str, str]:
    """The action prompts by the actions' names, after some actions."""
    info = play(env, *actions)
    return dict(zip((names(env)[action] for action in info["action_ids"]), info["action_prompts"], strict=True))


def states(env: Any) -> list[Any]:
    """All states that any actions reach, also such as are not admissible; what ends an episode is not gone on from."""
    ((_, start),) = env.initial_states
    found = {start: None}
    for state in (order := [start]):
        for action in range(env.action_space.n):
            transition = env.transition(state, action)
            if not transition.terminated and transition.state not in found:
                found[transition.state] = None
                order.append(transition.state)
    return order


def records(name: str) -> list[dict[str, Any]]:
    """The episodes recorded from the reference."""
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]
