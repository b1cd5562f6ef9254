"""The ablations of a YAML file (analysis/ablations.yaml): which runs have which value, what each reaches, and what differs."""

import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from twosome.errors import UserError
from twosome.report import style
from twosome.report.measures import Measure
from twosome.report.output import NONE, Table, bracketed, latest, notes
from twosome.report.runs import ABLATION, Grouped, Run, check_setting
from twosome.report.statistics import UNKNOWN, Estimate, Estimator, difference

MIN_SEEDS = 3  # seeds that both values need before a difference is stated
USUAL = {"baseline": "twosome", "norm": "word"}


class Series(NamedTuple):
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
        varies, of = given.pop("varies"), {"of": given.pop("of", USUAL)}
        values = {name: value if isinstance(value, dict) else {varies: value} for name, value in given.pop("values").items()}
        given["values"] = {name: values[given["reference"]] | own for name, own in values.items()}
        given["changes"] = (varies, *given.get("changes", ()))
        for title, series in given["panels"].items():
            full = {name: each if isinstance(each, dict) else {"measure": each} for name, each in series.items()}
            given["panels"][title] = [Series(name, **of | each) for name, each in full.items()]
        first = {repr(each.of): each for each in next(iter(given["panels"].values())) if "before" not in each.measure}
        return cls(**given, trained=list(first.values()))

    def of_value(self, runs: Sequence[Run], task: str, series: Series, value: str) -> list[Run]:
        """Return the runs that have a value, by seed: those with this ablation's label, or, without any, usual ones."""
        wanted = {**self.values[value], **series.of}
        here = [run for run in runs if run.config["env"].get("task") == task]
        found = [run for run in here if all(has(run, name, wish) for name, wish in wanted.items())]
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
    return [Ablation.of_entry(entry) for entry in yaml.safe_load(file.read_text(encoding="utf-8"))]


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


def has(run: Run, name: str, wish: Any) -> bool:
    """Return whether a run has a value of a dotted option, or of a group of conf/; an option that it lacks is off: 0 or null."""
    found: Any = run.config
    for step in name.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    found = run.choices.get(name, found)
    return bool(found == wish or (found is None and not wish))


def rows(
    ablation: Ablation, runs: Sequence[Run], windows: Mapping[str, int], measures: Mapping[str, Measure], estimator: Estimator
) -> pd.DataFrame:
    """Compute a row for each task, panel, series and value that has runs, of the panels for which something was measured.

    No rows where no task has two of the values.

    Columns: task, panel, series, value, seeds, center, low, high: of the measure; difference, difference_low, difference_high:
    from the reference, nan without one. by_seed: the runs' numbers, separated by spaces. Raises UserError where runs differ
    in more than the ablation varies.
    """
    made, varied = [], sorted({name for options in ablation.values.values() for name in options} | set(ablation.changes))
    every = [(task, panel, each) for task in ablation.tasks for panel, series in ablation.panels.items() for each in series]
    found = {
        (task, panel, each.name): {value: own for value in ablation.values if (own := ablation.of_value(runs, task, each, value))}
        for task, panel, each in every
    }
    compared = {task for (task, _, _), values in found.items() if len(values) > 1}
    for task, panel, series in every:
        values = found[task, panel, series.name]
        together = [run for own in values.values() for run in own]
        if task not in compared or not together:
            continue
        check_setting(f"ablation {ablation.name}, {task}, but for {', '.join(varied)}", together, varied)
        measure = measures[series.measure]  # a number, or three: it and the ends of its own interval
        samples = {value: np.array([np.atleast_1d(measure(run, windows[task])) for run in own]) for value, own in values.items()}
        for value, sample in samples.items():
            if len({run.seed for run in values[value]}) < len(sample):
                raise UserError(f"ablation {ablation.name}, {task}: expected one run per seed of {value}, found several with one")
            center = Estimate(*sample.mean(axis=0)) if sample.shape[1] == 3 else estimator.over_runs(sample[:, 0])
            known = value != ablation.reference and ablation.reference in samples
            apart = _difference(sample, samples[ablation.reference], estimator) if known else UNKNOWN
            made.append({
                **{"task": task, "panel": panel, "series": series.name, "value": value, "seeds": len(sample)},
                **{name: float(end) for name, end in vars(center).items()},
                **apart.columns("difference"),
                "by_seed": " ".join(f"{number:.6g}" for number in sample[:, 0]),
            })  # fmt: skip
    table = pd.DataFrame(made)
    if table.empty:
        return table
    return table[table.center.notna().groupby([table.task, table.panel]).transform("any")].reset_index(drop=True)


def _difference(sample: np.ndarray, reference: np.ndarray, estimator: Estimator) -> Estimate:
    """Return a value's number less the reference's, with its 95 % interval; nan where seeds are too few for one."""
    if sample.shape[1] == 3:
        (center, low, high), (other, below, above) = sample.mean(axis=0), reference.mean(axis=0)
        apart = center - other
        return Estimate(apart, apart - math.hypot(center - low, above - other), apart + math.hypot(high - center, other - below))
    strata = [sample[:, 0], reference[:, 0]]
    if np.isnan(np.concatenate(strata)).any():
        return UNKNOWN
    if min(map(len, strata)) < MIN_SEEDS:
        return Estimate(difference(strata), UNKNOWN.low, UNKNOWN.high)
    return estimator.bootstrap(difference, strata)


def table(ablation: Ablation, data: pd.DataFrame, options: Namespace) -> Table:
    """Make the table of an ablation's rows, which begins with what was found."""
    cells = []
    for row in data.to_dict("records"):
        ends = "" if pd.isna(row["difference_low"]) else f" [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
        apart = NONE if pd.isna(row["difference"]) else f"{row['difference']:+.3f}{ends}"
        cells.append({
            **{"task": style.title(row["task"]), "measure": row["panel"], "runs": row["series"], "value": row["value"]},
            **{"seeds": f"{row['seeds']}", "reached": bracketed([row["center"], row["low"], row["high"]], 3)},
            "difference": "reference" if row["value"] == ablation.reference else apart,
        })  # fmt: skip
    said = [f"{style.title(task)}: {finding(ablation, data, task)}" for task in dict.fromkeys(data.task)]
    over = notes(f"ablation {options.stat}")[0]
    words = {"source": ablation.source, "over": over, "reference": ablation.reference, "seeds": MIN_SEEDS}
    remarks = [*notes("ablations", **words), *latest(options.evaluations)]
    return Table.of(ablation.title, cells, remarks, left=4, data=data, lead=[ablation.question.rstrip("?") + "?", *said])


def finding(ablation: Ablation, data: pd.DataFrame, task: str) -> str:
    """Say in one sentence what holds on a task. data: of `rows`."""
    parts, here = [], data[data.task == task]
    for (panel, series), own in here.groupby(["panel", "series"], sort=False):
        alone = here[here.panel == panel].series.nunique() == 1
        parts.append(f"{panel if alone else f'{panel}, {series}'}: {_compared(ablation.reference, own)}")
    return "; ".join(parts) + "."


def _compared(reference: str, own: pd.DataFrame) -> str:
    """Compare the values of one series with the reference."""

    def listed(names: pd.Series) -> str:
        *rest, last = names
        return f"{', '.join(rest)} and {last}" if rest else last

    others = own[own.value != reference]
    if len(others) == len(own):
        return f"there is no run of {reference} to compare with"
    few = others[others.difference_low.isna()].value
    clear = (others.difference_low > 0) | (others.difference_high < 0)
    unclear = others[others.difference_low.notna() & ~clear].value
    said = []
    for row in others[clear].to_dict("records"):
        ends = sorted((abs(row["difference_low"]), abs(row["difference_high"])))
        side = "above" if row["difference"] > 0 else "below"
        said.append(f"{row['value']} is {abs(row['difference']):.3f} [{ends[0]:.3f}, {ends[1]:.3f}] {side} {reference}")
    if len(unclear):
        said.append(f"no difference from {reference} can be shown for {listed(unclear)}")
    if len(few):
        said.append(f"too little data to compare {listed(few)} with {reference}")
    return ", ".join(said) if said else f"only {reference} was run"
