"""A decision: the one thing that environments hand to policies."""

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np

DecisionText = tuple[str, tuple[str, ...]]
"""A decision as a language model sees it: the observation prompt and the admissible actions' prompts."""


class Decision(NamedTuple):
    """A choice of a macro-action that an environment offers.

    obs: the symbolic observation, float32 of the environment's observation shape.
    prompt: the observation prompt.
    action_ids: the admissible actions as the environment's action numbers.
    action_prompts: their words, in the order of action_ids.
    affordances: the probability that each action would have its effect now, in the same order; None where the environment
        does not say. Not for agents that learn from the environment: it is what they are to find out.
    state: the environment's true state, for `envs.optimum`; None where it is not `Searchable`. Not for them either.
    """

    obs: np.ndarray
    prompt: str
    action_ids: tuple[int, ...]
    action_prompts: tuple[str, ...]
    affordances: tuple[float, ...] | None = None
    state: Hashable = None

    @property
    def text(self) -> DecisionText:
        """What a language model's scores depend on: decisions of equal text are the same work."""
        return self.prompt, self.action_prompts

    @classmethod
    def from_step(cls, obs: np.ndarray, info: Mapping[str, Any]) -> "Decision":
        """The decision in what ``env.reset`` and ``env.step`` return."""
        affordances = info.get("affordances")
        return cls(
            np.array(obs, dtype=np.float32),  # a copy: an environment may use its array again
            info["prompt"],
            tuple(info["action_ids"]),
            tuple(info["action_prompts"]),
            None if affordances is None else tuple(affordances),
            info.get("state"),
        )
