"""The decisions of the last rollout, which the next one probably meets again."""

from collections.abc import Sequence
from typing import Any

from twosome.decision import DecisionText
from twosome.lru_cache import LRUCache as Memory

RECURRING = 0.25
"""The share of a rollout's decisions that were in the rollout before from which these are scored again together: in a batch a
decision costs about a quarter of what it costs alone."""


class Recurrence:
    """The decisions that a rollout meets, and how many of them the rollout before had met.

    capacity: decisions at most.
    """

    def __init__(self, capacity: int) -> None:
        self._met: Memory[DecisionText, None] = Memory(capacity)
        self._before: set[DecisionText] = set()
        self._again: int | None = None  # how many of _met are in _before; None where there was no rollout before

    def begin(self) -> list[DecisionText]:
        """Begin a rollout; returns the decisions that it will probably meet, none where too few recur (RECURRING)."""
        last = list(self._met.state())
        recurring = self._again is None or self._again >= RECURRING * len(last)
        self._before, self._again = set(last), 0 if last else None
        self._met.clear()
        return last if recurring else []

    def note(self, texts: Sequence[DecisionText]) -> None:
        """Remember that the rollout met these, each given once."""
        if self._again is not None:
            self._again += sum(text in self._before for text in texts if text not in self._met)
        self._met.keep(dict.fromkeys(texts))

    def state(self) -> dict[str, Any]:
        """Return what the next rollout's beginning needs, as plain values."""
        return {"decisions": [[prompt, *actions] for prompt, actions in self._met.state()], "again": self._again}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up the entries of `state`; others are left alone."""
        self._before, self._again = set(), state["again"]
        self._met.clear()
        self._met.keep({(prompt, tuple(actions)): None for prompt, *actions in state["decisions"]})
