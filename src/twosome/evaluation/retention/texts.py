"""The bundled texts: multiple-choice questions and plain English prose, written for the suite and about no environment of it."""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TypeVar

T = TypeVar("T")
DATA = files(__package__) / "data"


@dataclass(frozen=True)
class Question:
    """A question with one right answer. category: common_sense, science, physics or words; answer: an index into options."""

    category: str
    question: str
    options: tuple[str, ...]
    answer: int

    @property
    def prompt(self) -> str:
        """What an option follows after a space."""
        return f"Question: {self.question}\nAnswer:"


def questions(limit: int | None = None) -> list[Question]:
    """All questions, or limit of them that are spread evenly over the file, and so over the categories."""
    records = map(json.loads, (DATA / "questions.jsonl").read_text(encoding="utf-8").splitlines())
    return spread([Question(**record | {"options": tuple(record["options"])}) for record in records], limit)


def prose(limit: int | None = None) -> dict[str, str]:
    """Pieces of prose by name, in order, or limit of them."""
    pieces = sorted((file.name.removesuffix(".txt"), file.read_text(encoding="utf-8")) for file in (DATA / "prose").iterdir())
    return dict(spread(pieces, limit))


def checksum() -> str:
    """sha256 (hex) of all texts: results of different versions must not be compared."""
    content = [[vars(question) for question in questions()], prose()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def spread(items: list[T], limit: int | None) -> list[T]:
    """Limit items at even distances, or all where there are no more (or limit is None)."""
    if limit is None or limit >= len(items):
        return items
    return [items[index * len(items) // limit] for index in range(limit)]
