"""The bundled texts: multiple-choice questions and English prose, written for the suite and unrelated to its environments."""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TypeVar

T = TypeVar("T")
DATA = files(__package__) / "data"


@dataclass(frozen=True)
class Question:
    """A question with one right answer. category: common_sense, science, physics or words. answer: an index into options."""

    category: str
    question: str
    options: tuple[str, ...]
    answer: int

    @property
    def prompt(self) -> str:
        """The prompt; an option follows it after a space."""
        return f"Question: {self.question}\nAnswer:"


def questions(limit: int | None = None) -> list[Question]:
    """Return all questions, or limit of them, evenly spaced in the file and therefore over the categories."""
    records = map(json.loads, (DATA / "questions.jsonl").read_text(encoding="utf-8").splitlines())
    return spread([Question(**record | {"options": tuple(record["options"])}) for record in records], limit)


def prose(limit: int | None = None) -> dict[str, str]:
    """Return all pieces of prose, or limit of them, by name and in order."""
    pieces = sorted((file.name.removesuffix(".txt"), file.read_text(encoding="utf-8")) for file in (DATA / "prose").iterdir())
    return dict(spread(pieces, limit))


def checksum() -> str:
    """Return the sha256 (hex) of all texts. Results of different texts must not be compared."""
    content = [[vars(question) for question in questions()], prose()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def spread(items: list[T], limit: int | None) -> list[T]:
    """Return limit evenly spaced items, or all if there are no more (or limit is None)."""
    if limit is None or limit >= len(items):
        return items
    return [items[index * len(items) // limit] for index in range(limit)]
