"""A decision: what environments pass to policies."""

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np

DecisionText = tuple[str, tuple[str, ...]]
"""The text of a decision: the observation prompt and the admissible actions' prompts."""


class Decision(NamedTuple):
    """A choice of a macro-action that an environment offers.

    obs: the symbolic observation, float32 of the environment's observation shape.
    prompt: the observation prompt.
    action_ids: the admissible actions as the environment's action numbers.
    action_prompts: their prompts, in the order of action_ids.
    affordances: the probability that each action would have its effect now, in the same order; None if the environment
        does not give it. Learning agents must not read it.
    state: the environment's true state, for `envs.optimum`; None if the environment is not `Searchable`. Learning agents must
        not read it.
    memory: what the agent remembers of the episode before this decision (`Agent.remember`); None at the episode's start.
    """

    obs: np.ndarray
    prompt: str
    action_ids: tuple[int, ...]
    action_prompts: tuple[str, ...]
    affordances: tuple[float, ...] | None = None
    state: Hashable = None
    memory: Any = None

    @property
    def text(self) -> DecisionText:
        """The text, on which alone a language model's scores depend; decisions of equal text are scored once."""
        return self.prompt, self.action_prompts

    @classmethod
    def from_step(cls, obs: np.ndarray, info: Mapping[str, Any]) -> "Decision":
        """Return the decision from an observation and info of ``env.reset`` or ``env.step``."""
        affordances = info.get("affordances")
        return cls(
            np.array(obs, dtype=np.float32),  # a copy, since an environment may reuse its array
            info["prompt"],
            tuple(info["action_ids"]),
            tuple(info["action_prompts"]),
            None if affordances is None else tuple(affordances),
            info.get("state"),
        )
