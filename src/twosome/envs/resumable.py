"""A wrapper that makes the state of any environment restorable."""

from typing import Any

import gymnasium
import numpy as np


class Resumable(gymnasium.Wrapper):
    """A wrapper that records the generator's state at the last reset and the actions since.

    Replaying them restores any environment whose random numbers all come from gymnasium's ``np_random``. So no environment needs
    code for checkpoints.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self._generator_state: dict[str, Any] | None = None
        self._actions: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode. Raises ValueError if there are options, since they are not recorded."""
        if options:
            raise ValueError("a resumable environment is reset without options")
        if seed is not None:
            self.env.unwrapped.np_random = np.random.default_rng(seed)  # as gymnasium.utils.seeding.np_random does
        self._generator_state = dict(self.env.unwrapped.np_random.bit_generator.state)
        self._actions = []
        return self.env.reset()

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Do an action and record it."""
        self._actions.append(int(action))
        return self.env.step(action)

    def state(self) -> dict[str, Any]:
        """Return the environment's state, as plain Python values."""
        return {"generator": self._generator_state, "actions": list(self._actions)}

    def restore(self, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Restore a state; return the observation and info of the last step or reset before it was saved."""
        generator = np.random.default_rng()
        generator.bit_generator.state = state["generator"]
        self.env.unwrapped.np_random = generator
        obs, info = self.reset()
        for action in state["actions"]:
            obs, _, _, _, info = self.step(action)
        return obs, info
