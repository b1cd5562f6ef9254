"""The ablations of a YAML file (analysis/ablations.yaml): which runs have which value, what each reaches, and what differs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twosome.errors import UserError, shown
from twosome.plain import parse_yaml
from twosome.report.data.collection import Grouped
from twosome.report.data.run import ABLATION, Run
from twosome.report.statistics.estimates import Bootstrap, Estimate, difference, over_runs
from twosome.report.statistics.measures import Measure

MIN_SEEDS = 3
"""Seeds that both values need before a difference is stated."""
NOT_KNOWN = Estimate(*[np.array(math.nan)] * 3)
USUAL = {"baseline": "twosome", "norm": "word"}


@dataclass(frozen=True)
class Series:
    """A series of points: one for each value. of: options that its runs have."""

    name: str
    measure: str
    of: Mapping[str, Any]


@dataclass(frozen=True)
class Ablation:
    """An ablation; the fields are explained in ablations.yaml. values: by name, the options that make it."""

    name: str
    title: str
    question: str
    source: str
    values: dict[str, dict[str, Any]]
    reference: str
    tasks: list[str]
    panels: dict[str, list[Series]]
    changes: tuple[str, ...] = ()
    curves: bool = False
    trained: list[Series] = field(default_factory=list)

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> "Ablation":
        """Make one of an entry of the file."""
        given = dict(entry)
        varies, of = given.pop("varies"), given.pop("of", USUAL)
        values = {name: value if isinstance(value, dict) else {varies: value} for name, value in given.pop("values").items()}
        values = {name: values[given["reference"]] | own for name, own in values.items()}
        panels = {
            title: [Series(name, **({"of": of} | (each if isinstance(each, dict) else {"measure": each})))
                    for name, each in series.items()]
            for title, series in given.pop("panels").items()
        }  # fmt: skip
        first = {repr(each.of): each for each in next(iter(panels.values())) if "before" not in each.measure}
        changes = (varies, *given.pop("changes", ()))
        return cls(**given, values=values, panels=panels, changes=changes, trained=list(first.values()))

    def of_value(self, runs: Sequence[Run], task: str, series: Series, value: str) -> list[Run]:
        """Return the runs that have a value, by seed: those with this ablation's label, or, without any, usual ones."""
        wanted = {**self.values[value], **series.of}
        found = [
            run
            for run in runs
            if run.config["env"].get("task") == task and all(has(run, name, wish) for name, wish in wanted.items())
        ]
        own = [run for run in found if run.method.startswith(f"{ABLATION}{self.name}/")]
        usual = [run for run in found if not run.method.startswith(ABLATION)]
        return sorted(own or usual, key=lambda run: run.seed)

    def trained_runs(self, runs: Sequence[Run]) -> Grouped:
        """Group the runs whose learning curves are compared by task and by the name of their value (and series, of several)."""
        grouped: Grouped = {}
        for task in self.tasks:
            named = {
                value if len(self.trained) == 1 else f"{series.name}, {value}": self.of_value(runs, task, series, value)
                for series in self.trained
                for value in self.values
            }
            if any(named.values()):
                grouped[task] = {name: own for name, own in named.items() if own}
        return grouped


def read(file: Path) -> list[Ablation]:
    """Read the ablations of a YAML file."""
    return [Ablation.of_entry(entry) for entry in parse_yaml(file.read_text(encoding="utf-8"))]


def considered(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that may be of an ablation: those of --ablations, if there are any; otherwise all."""
    return [run for run in runs if run.apart] or list(runs)


def by_varied_task(runs: Sequence[Run]) -> Grouped:
    """Group the runs that may be of an ablation by task, without the wording, and by label."""
    grouped: Grouped = {}
    for run in considered(runs):
        task = str(run.config["env"].get("task") or run.task) if run.ablated else run.task
        grouped.setdefault(task, {}).setdefault(run.method, []).append(run)
    return grouped


def option(run: Run, name: str) -> Any:
    """Return a run's dotted option, or its choice in a group of conf/; None where it has neither."""
    if name in run.choices:
        return run.choices[name]
    found: Any = run.config
    for step in name.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def has(run: Run, name: str, wish: Any) -> bool:
    """Return whether an option of a run has a value; one that an older run lacks is off: 0, false or null."""
    found = option(run, name)
    return bool(found == wish or (found is None and not wish))


def rows(
    ablation: Ablation, runs: Sequence[Run], windows: Mapping[str, int], measures: Mapping[str, Measure], stat: str,
    bootstrap: Bootstrap,
) -> pd.DataFrame:  # fmt: skip
    """Compute a row for each task, panel, series and value that has runs, of the panels for which something was measured.

    No rows where no task has two of the values.

    Columns: task, panel, series, value, seeds, center, low, high: of the measure; difference, difference_low, difference_high:
    from the reference, nan without one. by_seed: the runs' numbers, separated by spaces. Raises UserError where runs differ
    in more than the ablation varies.
    """
    made = []
    for task, panel, series, found in _groups(ablation, runs):
        samples = {value: _sample(own, measures[series.measure], windows[task]) for value, own in found.items()}
        for value, own in found.items():
            center = _estimate(samples[value], stat, bootstrap)
            apart = NOT_KNOWN
            if value != ablation.reference and ablation.reference in samples:
                apart = _difference(samples[value], samples[ablation.reference], bootstrap)
            ends = zip(("", "_low", "_high"), vars(apart).values(), strict=True)
            made.append({
                "task": task, "panel": panel, "series": series.name, "value": value, "seeds": len(own),
                **{name: float(end) for name, end in vars(center).items()},
                **{f"difference{end}": float(number) for end, number in ends},
                "by_seed": " ".join(f"{number:.6g}" for number in samples[value][:, 0]),
            })  # fmt: skip
    table = pd.DataFrame(made)
    if table.empty:
        return table
    measured = table.center.notna().groupby([table.task, table.panel]).transform("any")
    return table[measured].reset_index(drop=True)


def _groups(ablation: Ablation, runs: Sequence[Run]) -> Iterator[tuple[str, str, Series, dict[str, list[Run]]]]:
    """Yield task, panel, series and its runs by value, in the file's order, of the tasks with two values or more."""
    for task in ablation.tasks:
        groups = [
            (panel, each, {value: own for value in ablation.values if (own := ablation.of_value(runs, task, each, value))})
            for panel, series in ablation.panels.items()
            for each in series
        ]
        for panel, series, found in groups:
            if max(len(values) for _, _, values in groups) > 1 and found:
                _check_alike(ablation, task, found)
                yield task, panel, series, found


def _check_alike(ablation: Ablation, task: str, found: Mapping[str, Sequence[Run]]) -> None:
    """Raise UserError where runs of one task and series differ in an option that the ablation does not vary."""
    every = [run for own in found.values() for run in own]
    varied = {name for options in ablation.values.values() for name in options} | set(ablation.changes)
    for run in every[1:]:
        for name in every[0].setting.keys() & run.setting.keys():
            ours, theirs = every[0].setting[name], run.setting[name]
            if ours != theirs and not any(name == each or name.startswith(f"{each}.") for each in varied):
                raise UserError(
                    f"ablation {ablation.name}, {task}: expected runs that differ in {', '.join(sorted(varied))} only, "
                    f"found {name}={shown(ours)} in {every[0].source} and {name}={shown(theirs)} in {run.source}; "
                    "name only folders of one setting"
                )
    for value, own in found.items():
        if len({run.seed for run in own}) < len(own):
            raise UserError(f"ablation {ablation.name}, {task}: expected one run per seed of {value}, found several with one")


def _sample(runs: Sequence[Run], measure: Measure, window: int) -> np.ndarray:
    """Return the runs' numbers, each with the ends of its own interval if it has one, (runs, 1 or 3)."""
    return np.array([np.atleast_1d(measure(run, window)) for run in runs], dtype=float)


def _estimate(sample: np.ndarray, stat: str, bootstrap: Bootstrap) -> Estimate:
    """Return the statistic over seeds; of a number that has an interval of its own (an untrained model's), the seeds' mean."""
    if sample.shape[1] == 3:
        return Estimate(*sample.mean(axis=0))
    return over_runs(sample[:, 0], stat, bootstrap)


def _difference(sample: np.ndarray, reference: np.ndarray, bootstrap: Bootstrap) -> Estimate:
    """Return a value's number less the reference's, with its 95 % interval; nan where seeds are too few for one."""
    if sample.shape[1] == 3:
        (center, low, high), (other, below, above) = sample.mean(axis=0), reference.mean(axis=0)
        apart = center - other
        return Estimate(apart, apart - math.hypot(center - low, above - other), apart + math.hypot(high - center, other - below))
    values, others = sample[:, 0], reference[:, 0]
    if np.isnan([*values, *others]).any():
        return NOT_KNOWN
    if min(len(values), len(others)) < MIN_SEEDS:
        return Estimate(difference([values, others]), *[np.array(math.nan)] * 2)
    return bootstrap.estimate(difference, [values, others])
