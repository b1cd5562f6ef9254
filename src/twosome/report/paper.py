"""The papers' numbers, read from a YAML file (analysis/paper.yaml), with the tag that says how each was obtained."""

from dataclasses import dataclass
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
RETURN, SUCCESS = "discounted return", "success"  # measures that a learning curve can show


@dataclass(frozen=True)
class Paper:
    """The papers' numbers. content: that of the YAML file, whose comments explain its entries."""

    content: dict[str, Any]

    @classmethod
    def read(cls, file: Path) -> "Paper":
        """Read the YAML file."""
        return cls(yaml.safe_load(file.read_text(encoding="utf-8")))

    @property
    def tasks(self) -> list[str]:
        """The tasks on which the paper trains agents, in its order."""
        return list(self.content["tasks"])

    def shows(self, env: str) -> str:
        """Return the measure that learning curves of an environment show: SUCCESS, as GLAM's, or RETURN."""
        return SUCCESS if env == self.content["glam"]["env"] else RETURN

    def model_of(self, measure: str) -> str:
        """Return the language model of the paper whose curves show a measure."""
        return str(self.content["glam"]["model"] if measure == SUCCESS else self.content["model"])

    def points(self, task: str, method: str, measure: str) -> list[Any]:
        """Return the points that were read of a method's curve of a measure: (from step, to step, value)."""
        if measure == SUCCESS:
            return self.content["glam"]["curves"].get(task, {}).get(method, [])
        return self.curve(task, method).get("points", [])

    def trained_success(self, task: str, method: str) -> float | None:
        """Return GLAM's number for a trained agent on the task of its training; None where the paper has none."""
        part = self.content["glam"]
        numbers = dict(zip(part["players"], part["training"].get(task, []), strict=False))
        read = [numbers.get(f"{method} after"), *(value for *_, value in reversed(self.points(task, method, SUCCESS)))]
        return next((value for value in read if value is not None), None)

    def curve(self, task: str, method: str) -> dict[str, Any]:
        """Return the curve of a method, an entry of the YAML file, with steps and optimum of its panel; empty without one.

        final is a list: the return at the end, lowest and highest reading. end: between them.
        """
        panel = self.content["tasks"].get(task, {"methods": {}})
        if method not in panel["methods"]:
            return {}
        entry = panel["methods"][method]
        final = entry["final"] if isinstance(entry["final"], list) else [entry["final"]] * 2
        return (
            {"points": [], "steps": panel["steps"], "optimum": panel["optimum"]} | entry | {"final": final, "end": sum(final) / 2}
        )

    def unseen(self, trained: str, method: str) -> dict[str, tuple[float, float]]:
        """Return success rates of an agent trained on one task, by the task it is tested on: without finetuning, and trained."""
        part = self.content["unseen"]
        return {task: tuple(rates) for task, rates in part["tasks"].get(trained, {}).items()} if method == part["method"] else {}

    def tag(self, part: str | None = None) -> str:
        """Return the tag of the curves' numbers, or of another part (an entry of the YAML file), in brackets."""
        return f"[{(self.content[part] if part else self.content)['tag']}]"

    def legend(self, part: str | None = None) -> str:
        """Say where these numbers come from, and what their tag means."""
        entry = self.content[part] if part else self.content
        return f"{entry['source']}, {self.content['model']}; {self.tag(part)} {TAGS[entry['tag']]}"


def decimal(value: float) -> str:
    """Show a reading with as many decimals as were read, two at least."""
    return f"{value:.2f}" if round(value, 2) == value else f"{value:.3f}"
