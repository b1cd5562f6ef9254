"""What an environment gives is checked here, and what goes wrong in it is told with the way there."""

import math
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium

from twosome.errors import RunError, UserError, folded

KEYS = ("prompt", "action_ids", "action_prompts", "duration", "primitive_steps", "success")
"""What every info must hold (CONTRIBUTING.md, the contract of an environment)."""


class Checked(gymnasium.Wrapper):
    """Around every environment that a configuration names.

    Raises UserError where a reward is no finite number or an info is not as the contract says, RunError where the environment
    itself raises; both name its id, its number among those side by side, if any, and the actions since the episode began.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.actions: list[int] = []
        self.id = env.spec.id if env.spec else type(env.unwrapped).__name__
        self.number: int | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        self.actions = []
        with self._guarded("reset"):
            obs, info = self.env.reset(seed=seed, options=options)
        self._check_info(info)
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act."""
        self.actions.append(int(action))
        with self._guarded("step"):
            obs, reward, terminated, truncated, info = self.env.step(action)
        if not math.isfinite(reward):
            raise UserError(f"{self._name()}: its step() gave the reward {reward}, expected a finite number; {self._way()}")
        self._check_info(info)
        return obs, reward, terminated, truncated, info

    def _check_info(self, info: dict[str, Any]) -> None:
        missing = [key for key in KEYS if key not in info]
        if missing:
            found = f"its info lacks {', '.join(missing)}: expected {', '.join(KEYS)}"
        elif not len(info["action_ids"]) == len(info["action_prompts"]) > 0:
            found = (
                f"it offers {len(info['action_ids'])} action_ids and {len(info['action_prompts'])} action_prompts: "
                "expected as many of both, at least one"
            )
        else:
            return
        raise UserError(f"{self._name()}: {found} (see CONTRIBUTING.md); {self._way()}")

    def _name(self) -> str:
        return f"env.id={self.id}" + ("" if self.number is None else f", environment {self.number}")

    def _way(self) -> str:
        return f"actions since the episode began: {self.actions}" if self.actions else "right after its reset()"

    @contextmanager
    def _guarded(self, call: str) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            raise RunError(
                f"{self._name()}: its {call}() raised {type(error).__name__} ({folded(error)}) at {Path(at.filename).name}:"
                f"{at.lineno}; {self._way()}; HYDRA_FULL_ERROR=1 shows the traceback"
            ) from error
