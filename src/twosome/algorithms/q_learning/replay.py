"""A replay buffer of decisions in words, bounded in bytes."""

import json
import zlib
from typing import Any, NamedTuple

import numpy as np
import torch

from twosome.decision import DecisionText

ROW = np.dtype([(name, np.int32) for name in ("prompt", "actions", "choice", "duration", "next_prompt", "next_actions")]
               + [("reward", np.float32)])  # fmt: skip
NONE = -1
"""The number in place of the texts after a terminal state."""
TEXT_BYTES = 300
"""What Python's objects and tables take for a text besides its compressed bytes."""


class Transition(NamedTuple):
    """A decision, the index of the action taken, and what followed.

    reward: of the whole action. duration: primitive steps. following: the text of the next decision in the same episode; None
    after a terminal state.
    """

    text: DecisionText
    choice: int
    reward: float
    duration: int
    following: DecisionText | None


class Texts:
    """Distinct texts by number, compressed, each kept as long as it is used. size: their bytes in memory."""

    def __init__(self) -> None:
        self.size, self._next = 0, 0
        self._packed: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._uses: dict[int, int] = {}

    def __getitem__(self, number: int) -> str:
        return zlib.decompress(self._packed[number]).decode()

    def __len__(self) -> int:
        return len(self._packed)

    def use(self, text: str) -> int:
        """Return the number of a text, which is used once more."""
        packed = zlib.compress(text.encode(), 1)
        number = self._numbers.setdefault(packed, self._next)
        if number == self._next:
            self._next += 1
            self._packed[number], self._uses[number] = packed, 0
            self.size += TEXT_BYTES + len(packed)
        self._uses[number] += 1
        return number

    def release(self, number: int) -> None:
        """Use a text once less; it is dropped after its last use."""
        self._uses[number] -= 1
        if not self._uses[number]:
            packed = self._packed.pop(number)
            del self._uses[number], self._numbers[packed]
            self.size -= TEXT_BYTES + len(packed)

    def state(self) -> dict[str, Any]:
        """Return all texts, as tensors."""
        lengths = [len(packed) for packed in self._packed.values()]
        return {
            "next": self._next,
            "numbers": torch.tensor(list(self._packed), dtype=torch.int64),
            "uses": torch.tensor(list(self._uses.values()), dtype=torch.int64),
            "lengths": torch.tensor(lengths, dtype=torch.int64),
            "packed": _bytes(b"".join(self._packed.values())),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        numbers, every = state["numbers"].tolist(), state["packed"].numpy().tobytes()
        ends = np.cumsum(state["lengths"].numpy()).tolist()
        self._next = state["next"]
        self._packed = {number: every[a:b] for number, a, b in zip(numbers, [0, *ends], ends, strict=False)}
        self._numbers = {packed: number for number, packed in self._packed.items()}
        self._uses = dict(zip(numbers, state["uses"].tolist(), strict=True))
        self.size = TEXT_BYTES * len(numbers) + len(every)


class Replay:
    """The latest transitions, at most so many bytes of them; each distinct text is stored once.

    A transition takes ROW.itemsize bytes, 28, besides its texts. In a task with few distinct decisions there is nothing else. A
    distinct prompt of BabyAI-Text takes some 550 bytes in memory and 250 in a checkpoint.
    """

    def __init__(self, most: float) -> None:
        """most: bytes in memory."""
        self.most, self.texts = most, Texts()
        self._rows, self._first, self._count = np.zeros(0, ROW), 0, 0

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """The bytes of all transitions in memory."""
        return self._count * ROW.itemsize + self.texts.size

    def add(self, transition: Transition) -> None:
        """Add a transition, and drop the oldest ones beyond the limit; at least one is kept."""
        if self._count == len(self._rows):
            self._rows, self._first = np.concatenate([self._ordered(), np.zeros(max(self._count, 1024), ROW)]), 0
        following = (NONE, NONE) if transition.following is None else self._use(transition.following)
        own = self._use(transition.text)
        place = (self._first + self._count) % len(self._rows)
        self._rows[place] = (*own, transition.choice, transition.duration, *following, transition.reward)
        self._count += 1
        while self.size > self.most and self._count > 1:
            self._drop()

    def sample(self, count: int, generator: torch.Generator) -> list[Transition]:
        """Draw transitions uniformly, with replacement."""
        drawn = torch.randint(self._count, (count,), generator=generator).numpy()
        return [self._transition(self._rows[(self._first + index) % len(self._rows)]) for index in drawn]

    def state(self) -> dict[str, Any]:
        """Return all transitions in their order, as tensors and numbers."""
        return {"rows": _bytes(self._ordered().tobytes()), "texts": self.texts.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self._rows = np.frombuffer(state["rows"].numpy().tobytes(), ROW).copy()
        self._first, self._count = 0, len(self._rows)
        self.texts.restore(state["texts"])

    def _ordered(self) -> np.ndarray:
        return np.roll(self._rows, -self._first)[: self._count]

    def _use(self, text: DecisionText) -> tuple[int, int]:
        return self.texts.use(text[0]), self.texts.use(json.dumps(text[1]))

    def _drop(self) -> None:
        row = self._rows[self._first]
        for name in ("prompt", "actions", "next_prompt", "next_actions"):
            if row[name] != NONE:
                self.texts.release(int(row[name]))
        self._first, self._count = (self._first + 1) % len(self._rows), self._count - 1

    def _transition(self, row: np.void) -> Transition:
        following = None if row["next_prompt"] == NONE else self._text(row["next_prompt"], row["next_actions"])
        text = self._text(row["prompt"], row["actions"])
        return Transition(text, int(row["choice"]), float(row["reward"]), int(row["duration"]), following)

    def _text(self, prompt: np.int32, actions: np.int32) -> DecisionText:
        return self.texts[int(prompt)], tuple(json.loads(self.texts[int(actions)]))


def _bytes(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.zeros(0, dtype=torch.uint8)
