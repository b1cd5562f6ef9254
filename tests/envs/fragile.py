"""An environment that goes wrong on demand, for tests: as a user's own might."""

import os
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

WORDS = ("wait for the bus", "walk home", "read the paper")


class Fragile(gymnasium.Env):
    """Ten places; each decision goes on by one, which gives a random reward; the fault, if any, comes with the third one.

    fault: "" | raise | nan_reward | inf_reward | no_actions | fewer_prompts | long_prompt | blank_prompt | lacks_<key of info>.
    trigger: a file; the fault happens only where it is there (and at all times without a trigger).
    """

    observation_space = gymnasium.spaces.Box(0, 10, (1,), dtype=np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, fault: str = "", trigger: str | None = None, render_mode: str | None = None) -> None:
        self.kind, self.trigger, self.render_mode = fault, trigger, render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = 0
        return self._obs(), self._info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place += 1
        if self._fault == "raise":
            raise ZeroDivisionError("the bus\nhas no wheels")
        paid = float(self.np_random.random()) * (action == 1)
        reward = {"nan_reward": float("nan"), "inf_reward": float("inf")}.get(self._fault, paid)
        return self._obs(), reward, self.place == 10, False, self._info()

    @property
    def _fault(self) -> str:
        due = self.place == 3 and (self.trigger is None or Path(os.path.expandvars(self.trigger)).exists())
        return self.kind if due else ""

    def _obs(self) -> np.ndarray:
        return np.array([self.place], dtype=np.float32)

    def _info(self) -> dict[str, Any]:
        words = WORDS[: {"no_actions": 0, "fewer_prompts": 2}.get(self._fault, 3)]
        prompt = {"blank_prompt": " ", "long_prompt": "You see a bus. " * 400 + "You should"}.get(self._fault)
        info = {
            "prompt": prompt or f"You are at place {self.place} of ten. To get home you should",
            "action_ids": () if self._fault == "no_actions" else (0, 1, 2),
            "action_prompts": words,
            "duration": min(self.place, 1),
            "primitive_steps": self.place,
            "success": self.place == 10,
        }
        info.pop(self._fault.removeprefix("lacks_"), None)
        return info


gymnasium.register("tests/Fragile-v0", entry_point=Fragile, order_enforce=False, disable_env_checker=True)
