"""The papers' numbers (paper.yaml), with the tag that says how each was obtained."""

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
    """What the figure shows of a method on a task: the return at the end (lowest and highest reading) and points (from, to, return)."""

    final: tuple[float, float]
    points: list[tuple[int, int, float]] = field(default_factory=list)

    @property
    def shown(self) -> str:
        """The final return as a table shows it, with its tag."""
        low, high = (f"{value:.3g}" for value in self.final)
        return f"{low if low == high else f'{low} to {high}'} [{content()['tag']}]"


@cache
def content() -> dict[str, Any]:
    """paper.yaml."""
    return yaml.safe_load((Path(__file__).parent / "paper.yaml").read_text())


def curve(task: str, method: str) -> Curve | None:
    """The paper's curve of a method; None where the paper has none."""
    methods = content()["tasks"].get(task, {}).get("methods", {})
    if method not in methods:
        return None
    final = methods[method]["final"]
    low, high = final if isinstance(final, list) else (final, final)
    return Curve((low, high), [tuple(point) for point in methods[method].get("points", [])])


def legend(tags: str) -> str:
    """What these tags mean, in one sentence."""
    return "; ".join(f"[{tag}] {TAGS[tag]}" for tag in tags)
