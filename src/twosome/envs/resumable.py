"""Environments that can be put back into any state they were in, whatever they are."""

from typing import Any

import gymnasium
import numpy as np


class Resumable(gymnasium.Wrapper):
    """Remembers the generator's state at the last reset and the actions since: enough to restore any environment whose
    randomness all comes from gymnasium's ``np_random``. So no environment needs code for checkpoints."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self._generator_state: dict[str, Any] | None = None
        self._actions: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; options are not remembered, so none may be given."""
        if options:
            raise ValueError("a resumable environment is reset without options")
        if seed is not None:
            self.env.unwrapped.np_random = np.random.default_rng(seed)  # as gymnasium.utils.seeding.np_random does
        self._generator_state = dict(self.env.unwrapped.np_random.bit_generator.state)
        self._actions = []
        return self.env.reset()

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act and remember the action."""
        self._actions.append(int(action))
        return self.env.step(action)

    def state(self) -> dict[str, Any]:
        """The environment's state, made of plain Python values."""
        return {"generator": self._generator_state, "actions": list(self._actions)}

    def restore(self, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return to a state; gives the observation and info that step or reset gave there."""
        generator = np.random.default_rng()
        generator.bit_generator.state = state["generator"]
        self.env.unwrapped.np_random = generator
        obs, info = self.reset()
        for action in state["actions"]:
            obs, _, _, _, info = self.step(action)
        return obs, info
