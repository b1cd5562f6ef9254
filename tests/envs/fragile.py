"""An environment that goes wrong on demand, for tests: as a user's own might."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

WORDS = ("wait for the bus", "walk home", "read the paper")

Given = dict[str, Any]  # obs, reward, terminated, truncated and info; what a fault makes of it is what reset() or step() returns


def info(**values: Any) -> Callable[[Given], None]:
    return lambda given: given["info"].update(values)


def outcome(**values: Any) -> Callable[[Given], None]:
    return lambda given: given.update(values)


def raises(error: BaseException) -> Callable[[Given], None]:
    def fault(given: Given) -> None:
        raise error

    return fault


STEPS: dict[str, Callable[[Given], Any]] = {
    "": lambda given: None,
    "raise": raises(ZeroDivisionError("the bus\nhas no wheels")),
    "exit": raises(SystemExit(0)),
    # what reset() and step() return
    "obs_alone": lambda given: given["obs"],
    "four_values": lambda given: tuple(given[name] for name in ("obs", "reward", "terminated", "info")),
    "obs_of_another_shape": outcome(obs=np.zeros(3, dtype=np.float32)),
    "nan_obs": outcome(obs=np.array([np.nan], dtype=np.float32)),
    "nan_reward": outcome(reward=float("nan")),
    "reward_in_words": outcome(reward="1"),
    "truncated_at_none": outcome(truncated=None),
    "no_info": outcome(info=None),
    # what is in info
    "lacks_success": lambda given: given.update(info={key: each for key, each in given["info"].items() if key != "success"}),
    "no_actions": info(action_ids=(), action_prompts=()),
    "fewer_prompts": info(action_prompts=WORDS[:2]),
    "id_beyond": info(action_ids=(0, 1, 3)),
    "id_twice": info(action_ids=(0, 1, 1)),
    "float_ids": info(action_ids=(0.0, 1.0, 2.0)),
    "one_word": info(action_ids=tuple(range(3)), action_prompts="bus"),
    "blank_prompt": info(prompt=" "),
    "space_after_prompt": info(prompt="You should "),
    "half_a_character": info(prompt="You should \ud800"),
    "long_prompt": info(prompt="You see a bus. " * 400 + "You should"),
    "blank_action": info(action_prompts=("go", " ", "stay")),
    "float_duration": info(duration=1.0),
    "steps_fall": info(primitive_steps=1),
    "success_in_words": info(success="yes"),
    "affordance_above_1": info(affordances=(1.0, 0.5, 1.5)),
    "state_without_hash": info(state={"place": 3}),
    # unusual, and right
    "lists": info(action_ids=[0, 1, 2], action_prompts=list(WORDS), affordances=[1, 0.5, 0]),
    "arrays": info(action_ids=np.arange(3), affordances=np.array([1, 0.5, 0])),
    "numpy_outcome": outcome(reward=np.float32(0.5), terminated=np.bool_(False), truncated=np.bool_(False)),
    "numpy_counts": info(duration=np.int64(1), primitive_steps=np.int32(3), success=np.bool_(False)),
    "more_in_info": info(state=2**80, affordances=None, distances=np.zeros(3), final_info={"place": 1}),
}
"""By name, what is done to what the environment returns."""

SPACES: dict[str, dict[str, Any]] = {
    "obs_space_of_doubles": {"observation_space": Box(0, 10, (1,), dtype=np.float64)},
    "actions_from_1": {"action_space": Discrete(3, start=1)},
    "tasks_in_a_word": {"tasks": "bus"},
    "fewer_action_names": {"action_names": ("drive", "stop")},
}
"""By name, attributes of the environment."""


class Fragile(gymnasium.Env):
    """Ten places; each decision goes on by one, which gives a random reward; the fault comes with the decision number at.

    fault: a key of STEPS or SPACES. at: the decision that it comes with; 0: the first one, at reset; -1: none, when it is made.
    trigger: a file; the fault happens only where it is there (and at all times without a trigger).
    """

    observation_space = Box(0, 10, (1,), dtype=np.float32)
    action_space = Discrete(3)

    def __init__(self, fault: str = "", trigger: str | None = None, at: int = 3, render_mode: str | None = None) -> None:
        self.kind, self.trigger, self.at, self.render_mode = fault, trigger, at, render_mode
        self.place = -1
        vars(self).update(SPACES.get(fault, {}))
        self._given({}, "info")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = 0
        return self._given({"obs": self._obs(), "info": self._info()}, "obs", "info")

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place += 1
        paid = float(self.np_random.random()) * (action == 1)
        given = {"obs": self._obs(), "reward": paid, "terminated": self.place == 10, "truncated": False, "info": self._info()}
        return self._given(given, *given)

    def _given(self, given: Given, *names: str) -> Any:
        """What the fault, if it is due, leaves of it."""
        due = self.place == self.at and (self.trigger is None or Path(os.path.expandvars(self.trigger)).exists())
        other = STEPS.get(self.kind, STEPS[""])(given) if due else None
        return tuple(given.get(name) for name in names) if other is None else other

    def _obs(self) -> np.ndarray:
        return np.array([self.place], dtype=np.float32)

    def _info(self) -> dict[str, Any]:
        return {
            "prompt": f"You are at place {self.place} of ten. To get home you should",
            "action_ids": (0, 1, 2),
            "action_prompts": WORDS,
            "duration": min(self.place, 1),
            "primitive_steps": self.place,
            "success": self.place == 10,
        }


gymnasium.register("tests/Fragile-v0", entry_point=Fragile, order_enforce=False, disable_env_checker=True)
