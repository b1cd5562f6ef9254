"""Any gymnasium environment with discrete actions, as decisions in words."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from twosome.errors import UserError

SUCCESS = ("is_success", "success")
"""The keys of the wrapped environment's info that say whether the goal was reached; the first one that is there is read."""


class InWords(gymnasium.Wrapper[NDArray[np.float32], int, Any, Any]):
    """A wrapper that turns an environment with ``Discrete`` actions into decisions in words (CONTRIBUTING.md has the contract).

    A decision is one step of the wrapped environment: the duration is 1. Rewards and ends of episodes are the wrapped
    environment's; a step that both terminates and truncates terminates. An end by gymnasium's TimeLimit is a truncation. The
    wrapped environment's info is passed on, and completed by the contract's keys.

    Success is ``info["is_success"]`` or ``info["success"]`` of the wrapped environment. If it has neither, an episode succeeds
    if it ends with a sum of rewards of at least reward_threshold.

    All random numbers follow from `np_random`: it draws a seed for every episode, which the wrapped environment's ``reset`` gets.
    So an environment may have a generator of its own, if ``reset(seed=...)`` seeds it; `twosome.check_env` finds one that it
    does not seed. An interrupted run restores an episode by replaying its actions, which restores wrappers' counters too.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        actions: Sequence[str],
        describe: Callable[[Any, dict[str, Any], Any], str],
        admissible: Callable[[Any, dict[str, Any], Any], Iterable[int]] | None = None,
        flatten: Callable[[Any, dict[str, Any], Any], Any] | None = None,
        reward_threshold: float | None = None,
    ) -> None:
        """Wrap an environment, which is reset once.

        The functions get the wrapped environment's observation, its info, and the unwrapped environment.

        actions: the action prompts, by the action's number. describe: returns the prompt. admissible: returns the numbers of the
        actions that can be chosen now; None: all. flatten: returns the observation for agents without a language model, an array
        of numbers of a fixed shape; None: gymnasium's ``spaces.flatten``. reward_threshold: the sum of rewards that is a success;
        None: the environment's own, ``env.spec.reward_threshold``. Raises UserError if there is not a text for each action.
        """
        super().__init__(env)
        if getattr(env.action_space, "n", None) != len(actions):
            raise UserError(f"actions: {len(actions)} texts; expected one for each action of {env.action_space}, a Discrete")
        self.action_names = tuple(actions)
        self._describe, self._admissible, self._flatten = describe, admissible, flatten
        spec = env.unwrapped.spec
        self._threshold = spec.reward_threshold if reward_threshold is None and spec else reward_threshold
        self._generator = np.random.default_rng()
        self._steps, self._return = 0, 0.0
        shape = self._vector(*env.reset(seed=0)).shape
        self.observation_space = spaces.Box(-np.inf, np.inf, shape, np.float32)

    @property
    def np_random(self) -> np.random.Generator:
        """The generator of the episodes' seeds."""
        return self._generator

    @np_random.setter
    def np_random(self, value: np.random.Generator) -> None:
        self._generator = value

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode. seed: of this episode, and of the seeds of the later ones; None: it is drawn."""
        if seed is None:
            seed = int(self.np_random.integers(2**32))
        else:
            self.np_random = np.random.default_rng(seed)
        obs, info = self.env.reset(seed=seed, options=options)
        self._steps, self._return = 0, 0.0
        return self._vector(obs, info), self._decision(obs, info, duration=0, success=False)

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Do an action. Raises UserError if nothing says what a success is."""
        obs, reward, terminated, truncated, info = self.env.step(int(action))
        self._steps += 1
        self._return += float(reward)
        success = self._success(info, terminated or truncated)
        decision = self._decision(obs, info, duration=1, success=success)
        return self._vector(obs, info), float(reward), bool(terminated), bool(truncated and not terminated), decision

    def optional_info(self, obs: Any, info: dict[str, Any]) -> dict[str, Any]:
        """Return optional keys of the contract, such as ``state``; a subclass may override it. The default is none."""
        return {}

    def _success(self, info: dict[str, Any], ended: bool) -> bool:
        for key in SUCCESS:
            if key in info:
                return bool(info[key])
        if self._threshold is None:
            raise UserError(f"reward_threshold=None: expected a number, since info has none of {', '.join(SUCCESS)}")
        return bool(ended and self._return >= self._threshold)

    def _vector(self, obs: Any, info: dict[str, Any]) -> NDArray[np.float32]:
        if self._flatten is None:
            return np.asarray(spaces.flatten(self.env.observation_space, obs), dtype=np.float32)
        return np.asarray(self._flatten(obs, info, self.env.unwrapped), dtype=np.float32)

    def _decision(self, obs: Any, info: dict[str, Any], duration: int, success: bool) -> dict[str, Any]:
        """Return the wrapped environment's info with the keys of the contract."""
        every = range(len(self.action_names))
        chosen = every if self._admissible is None else self._admissible(obs, info, self.env.unwrapped)
        action_ids = tuple(map(int, chosen))
        return {
            **info,
            **self.optional_info(obs, info),
            "prompt": self._describe(obs, info, self.env.unwrapped),
            "action_ids": action_ids,
            "action_prompts": tuple(self.action_names[action] for action in action_ids),
            "duration": duration,
            "primitive_steps": self._steps,
            "success": success,
        }
