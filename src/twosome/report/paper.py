"""The papers' numbers, read from a YAML file (analysis/paper.yaml), with the tag that says how each was obtained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twosome.plain import read_yaml

TAGS = {
    "P": "stated in the paper's text",
    "F": "read off the paper's figures, error about 0.01 to 0.02",
    "C": "found in the published reference code",
    "X": "computed",
    "I": "inferred",
}

RETURN, SUCCESS = "discounted return", "success"
"""What a learning curve shows of the episodes."""


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


@dataclass(frozen=True)
class Paper:
    """What the papers report. content: that of the YAML file, whose comments explain its entries."""

    content: dict[str, Any]

    @classmethod
    def read(cls, file: Path) -> "Paper":
        """Read the YAML file."""
        return cls(read_yaml(file))

    @property
    def tasks(self) -> list[str]:
        """The tasks on which the paper trains agents, in its order."""
        return list(self.content["tasks"])

    @property
    def model(self) -> str:
        """The paper's language model."""
        return str(self.content["model"])

    @property
    def retention(self) -> dict[str, Any]:
        """What the paper reports of the language model's knowledge."""
        return self.content["retention"]

    def shows(self, env: str) -> str:
        """Return the measure that learning curves of an environment show: SUCCESS, as GLAM's, or RETURN."""
        return SUCCESS if env == self.content["glam"]["env"] else RETURN

    def model_of(self, measure: str) -> str:
        """Return the language model of the paper whose curves show a measure."""
        return str(self.content["glam"]["model"]) if measure == SUCCESS else self.model

    def points(self, task: str, method: str, measure: str) -> list[tuple[int, int, float]]:
        """Return the points that were read of a method's curve of a measure: (from step, to step, value)."""
        if measure == SUCCESS:
            return [tuple(point) for point in self.content["glam"]["curves"].get(task, {}).get(method, [])]
        curve = self.curve(task, method)
        return curve.points if curve else []

    def trained_success(self, task: str, method: str) -> float | None:
        """Return GLAM's number for a trained agent on the task of its training; None where the paper has none."""
        part = self.content["glam"]
        numbers = dict(zip(part["players"], part["training"].get(task, []), strict=False))
        read = [numbers.get(f"{method} after"), *(value for *_, value in reversed(self.points(task, method, SUCCESS)))]
        return next((value for value in read if value is not None), None)

    def curve(self, task: str, method: str) -> Curve | None:
        """Return the curve of a method; None where the paper has none."""
        panel = self.content["tasks"].get(task)
        if panel is None or method not in panel["methods"]:
            return None
        entry = panel["methods"][method]
        low, high = entry["final"] if isinstance(entry["final"], list) else (entry["final"], entry["final"])
        points = [tuple(point) for point in entry.get("points", [])]
        return Curve((low, high), panel["steps"], panel["optimum"], points, entry.get("peak"))

    def final(self, task: str, method: str) -> str | None:
        """Return the return at the end as a table shows it, without its tag."""
        found = self.curve(task, method)
        return None if found is None else " to ".join(dict.fromkeys(decimal(value) for value in found.final))

    def unseen(self, trained: str, method: str) -> dict[str, tuple[float, float]]:
        """Return success rates of an agent trained on one task, by the task it is tested on: without finetuning, and trained."""
        part = self.content["unseen"]
        found = part["tasks"].get(trained, {}) if method == part["method"] else {}
        return {task: (before, after) for task, (before, after) in found.items()}

    def tag(self, part: str | None = None) -> str:
        """Return the tag of the curves' numbers, or of another part (an entry of the YAML file), in brackets."""
        return bracketed_tag(self.content[part] if part else self.content)

    def legend(self, part: str | None = None) -> str:
        """Say where these numbers come from, and what their tag means."""
        entry = self.content[part] if part else self.content
        return f"{entry['source']}, {self.model}; {bracketed_tag(entry)} {TAGS[entry['tag']]}"


def bracketed_tag(entry: Mapping[str, Any]) -> str:
    """Return the tag of an entry of the YAML file, in brackets."""
    return f"[{entry['tag']}]"


def decimal(value: float) -> str:
    """Show a reading with as many decimals as were read, two at least."""
    return f"{value:.2f}" if round(value, 2) == value else f"{value:.3f}"
