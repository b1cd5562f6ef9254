"""The papers' numbers (paper.yaml), with the tag that says how each was obtained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TAGS = {
    "P": "stated in the paper's text",
    "F": "read off the paper's figures, error about 0.01 to 0.02",
    "C": "found in the published reference code",
    "X": "computed",
    "I": "inferred",
}


@dataclass(frozen=True)
class Curve:
    """What the figure shows of a method on a task.

    final: the return at the end, lowest and highest reading. steps: of the x-axis. optimum: the figure's line. points: (from
    step, to step, return). peak: a highest return whose step is not known.
    """

    final: tuple[float, float]
    steps: int
    optimum: float
    points: list[tuple[int, int, float]] = field(default_factory=list)
    peak: float | None = None

    @property
    def values(self) -> list[float]:
        """All returns that were read, in the order of their steps; readings of the end by their middle."""
        return [*([] if self.peak is None else [self.peak]), *(value for _, _, value in self.points), sum(self.final) / 2]


@cache
def content() -> dict[str, Any]:
    """paper.yaml."""
    return yaml.safe_load((Path(__file__).parent / "paper.yaml").read_text())


def curve(task: str, method: str) -> Curve | None:
    """The paper's curve of a method; None where the paper has none."""
    panel = content()["tasks"].get(task)
    if panel is None or method not in panel["methods"]:
        return None
    told = panel["methods"][method]
    low, high = told["final"] if isinstance(told["final"], list) else (told["final"], told["final"])
    points = [tuple(point) for point in told.get("points", [])]
    return Curve((low, high), panel["steps"], panel["optimum"], points, told.get("peak"))


def final(task: str, method: str) -> str | None:
    """The paper's return at the end as a table shows it, without its tag."""
    found = curve(task, method)
    return None if found is None else " to ".join(dict.fromkeys(decimal(value) for value in found.final))


def decimal(value: float) -> str:
    """A reading with as many decimals as were read, two at least."""
    return f"{value:.2f}" if round(value, 2) == value else f"{value:.3f}"


def unseen(trained: str, method: str) -> dict[str, tuple[float, float]]:
    """Success rates of a method's agent, trained on one task, by the task it is tested on: without finetuning, and trained."""
    told = content()["unseen"]
    found = told["tasks"].get(trained, {}) if method == told["method"] else {}
    return {task: (before, after) for task, (before, after) in found.items()}


def tag(told: Mapping[str, Any] | None = None) -> str:
    """The tag of the curves' numbers, or of another part of paper.yaml, in brackets."""
    return f"[{(told or content())['tag']}]"


def legend(told: Mapping[str, Any] | None = None) -> str:
    """Where these numbers come from, with the tag's meaning."""
    told = told or content()
    return f"{told['source']}, {content()['model']}; {tag(told)} {TAGS[told['tag']]}"
