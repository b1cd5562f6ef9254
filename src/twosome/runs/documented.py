"""Find the run of each task whose results are documented best, for publication. A run's score has no influence on the choice."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from omegaconf import DictConfig

from twosome.errors import UserError
from twosome.storage.folder import TAKEN, RunFolder


@dataclass(frozen=True)
class Candidate:
    """A finished run with an adapter."""

    folder: RunFolder

    @cached_property
    def config(self) -> DictConfig:
        """The run's configuration."""
        return self.folder.config

    @property
    def task(self) -> str:
        """The task's name, without the wording of its prompts."""
        return str(self.config.env.get("task") or str(self.config.env.id).rpartition("/")[2])

    @cached_property
    def documents(self) -> list[str]:
        """What was measured of the run."""
        own = {"env": self.config.env.id, "task": self.config.env.get("task")}
        after = [each for each in self.folder.read_json("evaluation.json", []) if each.get("when") == "after"]
        others = [each for each in after if any(each.get(name) != value for name, value in own.items())]
        content = self.folder.read_json("retention.json", {})
        parts = [content, *content.get("later", [])]
        found = {
            "its own task": len(after) > len(others),
            "other tasks": bool(others),
            "drift": any("drift" in part for part in parts),
            "benchmarks": any("benchmarks" in part for part in parts),
            "a forgetting curve": (self.folder.path / "retention.csv").is_file(),
        }
        return [name for name, there in found.items() if there]

    @property
    def order(self) -> tuple[int, int, str]:
        """Most documents first, then the lowest seed, then the folder's name."""
        return -len(self.documents), int(self.config.seed), str(self.folder.path)


def of_each_task(runs: Path) -> dict[str, tuple[RunFolder, str]]:
    """Return the best-documented run of each task below a folder, and sentences about the choice. Raises UserError."""
    if not runs.is_dir():
        raise UserError(f"runs={runs}: no such folder; expected a folder that holds finished runs")
    folders = [RunFolder(file.parent) for file in sorted(runs.rglob("config.yaml"))]
    found: dict[str, list[Candidate]] = {}
    for folder in (each for each in folders if each.done):
        is_run = (folder.opened().path / "adapter").is_dir() and TAKEN not in folder.read_json("provenance.json", {})
        if is_run:
            candidate = Candidate(folder)
            found.setdefault(candidate.task, []).append(candidate)
    if not found:
        raise UserError(f"runs={runs}: no finished run with an adapter below it; expected the folder of a sweep or an experiment")
    return {task: (min(each, key=lambda run: run.order).folder, _about(each)) for task, each in found.items()}


def _about(candidates: list[Candidate]) -> str:
    chosen = min(candidates, key=lambda run: run.order)
    measured = ", ".join(chosen.documents) or "nothing"
    return (
        f"Of {len(candidates)} finished run(s) of this task it was chosen by the number of measurements, then the lowest seed; "
        f"the return had no influence. Measured: {measured}."
    )
