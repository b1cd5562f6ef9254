"""The summary: a row per task and method, with what was reached, how soon, how surely, and what the paper reports."""

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from twosome.report import commands
from twosome.report.data import repeats
from twosome.report.data.collection import Grouped
from twosome.report.data.run import Run
from twosome.report.output import style
from twosome.report.output.tables import NONE, Table, bracketed, number
from twosome.report.paper import Paper
from twosome.report.results import notes
from twosome.report.statistics import measures, smoothing
from twosome.report.statistics.axes import AXES, OPTIMIZER_STEPS, SECONDS, STEPS, along, total
from twosome.report.statistics.estimates import Estimate, improvement, over_runs, pooled_iqm

REFERENCES = ("ppo", "ppo-film_lstm")
"""The methods of which the first that a task has is what the others are compared with."""
ALL = "all tasks"
COLUMNS = (
    *("task", "method", "seeds", "final return", "success"),
    *("steps to 90 %", "optimiser steps to 90 %", "time to 90 %", "steps", "optimiser steps", "time"),
    *("area", "evaluated, sampled", "evaluated, greedy", "P(better than PPO)", "paper"),
)


class Summary:
    """Computes the rows and shows them."""

    def __init__(self, tasks: Grouped, paper: Paper, options: argparse.Namespace) -> None:
        windows = smoothing.of_tasks(tasks, options.window)
        self.tasks, self.remarks = tasks, [*notes.counted(tasks), *notes.unrecorded(tasks)]
        self.windows, self.paper, self.options, self.stat = windows, paper, options, options.stat
        self.bootstrap = commands.bootstrap(options)

    def rows(self) -> pd.DataFrame:
        """Compute a row for each task and method, then those over all tasks."""
        rows = [self.row(task, method, methods) for task, methods in self.tasks.items() for method in style.order(list(methods))]
        return pd.DataFrame(rows + self.aggregate(self.tasks))

    def table(self) -> Table:
        """Make the table."""
        rows = self.rows()
        shown = [_shown(dict(row), self.paper) for _, row in rows.iterrows()]
        return Table("Summary", COLUMNS, shown, [*_notes(self.options, self.windows, self.paper), *self.remarks], data=rows)

    def row(self, task: str, method: str, methods: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
        """Compute the row of one method on one task."""
        runs, window = methods[method], self.windows[task]
        return {
            "task": task,
            "method": method,
            "seeds": len(runs),
            **_columns("final_return", measures.level(runs, window, self.stat, self.bootstrap)),
            "success": self._mean(measures.final_success(run, window) for run in runs),
            **_spent(runs, window),
            **_columns("area", self._over([measures.area(run, window) for run in runs])),
            "evaluated_sampled": self._mean(measures.evaluated(run, "return_mean", "sampled") for run in runs),
            "evaluated_greedy": self._mean(measures.evaluated(run, "return_mean", "greedy") for run in runs),
            **_columns("improvement", self._improvement([(runs, _reference(methods))])),
            **_paper(task, method, self.paper),
        }

    def aggregate(self, tasks: Grouped) -> list[dict[str, Any]]:
        """Compute rows over all tasks, for the methods that were trained on each: returns as shares of each task's optimum."""
        if len(tasks) < 2:
            return []
        methods = set.intersection(*(set(methods) for methods in tasks.values()))
        rows = []
        for method in style.order(sorted(methods - {"optimal"})):
            strata = [methods[method] for methods in tasks.values()]
            if any(not run.steps or not run.optimum > 0 for runs in strata for run in runs):  # nan is not, either
                continue
            shares = [np.array([self._final(run) / run.optimum for run in runs]) for runs in strata]
            pairs = [(methods[method], _reference(methods)) for methods in tasks.values()]
            rows.append({
                "task": ALL, "method": method, "seeds": min(map(len, strata)),
                **_columns("final_return", self.bootstrap.estimate(pooled_iqm, shares)),
                **_columns("improvement", self._improvement(pairs)),
            })  # fmt: skip
        return rows

    def _improvement(self, pairs: Sequence[tuple[Sequence[Run], Sequence[Run]]]) -> Estimate:
        """Return P(better than the reference) in final return, over tasks; nan for the reference and for what is not trained."""
        none = Estimate(*[np.array(math.nan)] * 3)
        if any(not y or x[0].method in REFERENCES or not all(run.acted for run in (*x, *y)) for x, y in pairs):
            return none
        strata = [np.array([self._final(run) for run in runs]) for pair in pairs for runs in pair]
        return none if any(np.isnan(values).any() for values in strata) else self.bootstrap.estimate(improvement, strata)

    def _final(self, run: Run) -> float:
        return measures.final_return(run, self.windows[run.task])

    def _over(self, values: Sequence[float]) -> Estimate:
        return over_runs(np.array(values), self.stat, self.bootstrap)

    def _mean(self, values: Any) -> float:
        return float(np.mean(list(values)))


def _reference(methods: Mapping[str, Sequence[Run]]) -> Sequence[Run]:
    """Return the runs of PPO from scratch, possibly none."""
    return next((methods[method] for method in REFERENCES if method in methods), [])


def _spent(runs: Sequence[Run], window: int) -> dict[str, float]:
    """Return what it took to 90 % of the optimum, along each axis, and what the runs took: medians over seeds.

    reached: how many seeds got there. curve_...: how far their curves go. steps: the most environment steps of a run.
    """
    found: dict[str, float] = {}
    for axis in AXES.values():
        name = "" if axis is STEPS else f"{axis.name}_"
        good = np.array([measures.steps_to_good(run, window, axis) for run in runs])
        found[f"{name or 'steps_'}to_good"] = float(np.median(good))
        if axis is STEPS:
            found["reached"] = np.isfinite(good).sum() if not np.isnan(good).any() else math.nan
        ends = [along(run, axis, np.array([run.end])) for run in runs]
        found[f"curve_{axis.name}"] = float(np.median(ends))
    found["steps"] = max(run.steps for run in runs)
    return found | {axis.name: float(np.median([total(run, axis) for run in runs])) for axis in (OPTIMIZER_STEPS, SECONDS)}


def _columns(name: str, estimate: Estimate) -> dict[str, float]:
    center, low, high = (float(value) for value in (estimate.center, estimate.low, estimate.high))
    return {name: center, f"{name}_low": low, f"{name}_high": high}


def _paper(task: str, method: str, paper: Paper) -> dict[str, Any]:
    curve = paper.curve(task, method)
    low, high = curve.final if curve else (math.nan, math.nan)
    return {"paper_low": low, "paper_high": high, "paper_tag": paper.content["tag"] if curve else ""}


def _shown(row: dict[Any, Any], paper: Paper) -> list[str]:
    final = paper.final(row["task"], row["method"])
    return [
        row["task"] if row["task"] == ALL else style.title(row["task"]),
        style.label(row["method"]),
        f"{row['seeds']:.0f}",
        bracketed(_ends(row, "final_return"), 3),
        number(row["success"]),
        *_effort(row),
        number(row["area"], 3),
        number(row["evaluated_sampled"], 3),
        number(row["evaluated_greedy"], 3),
        bracketed(_ends(row, "improvement")),
        f"{final} {paper.tag()}" if final else NONE,
    ]


def _ends(row: dict[Any, Any], name: str) -> list[float]:
    return [row[f"{name}{end}"] for end in ("", "_low", "_high")]


def _effort(row: dict[Any, Any]) -> list[str]:
    """Show the median over seeds of what 90 % of the optimum took, and how many seeds reached it; then what training took."""
    reached = "" if pd.isna(row["reached"]) else f" ({row['reached']:.0f} of {row['seeds']:.0f})"
    steps, optimizer_steps, seconds = (
        ("> " if math.isinf(row[good]) else "") + show(min(row[good], row[end])) if not pd.isna(row[good]) else NONE
        for good, end, show in (
            ("steps_to_good", "curve_env_steps", _whole),
            ("optimizer_steps_to_good", "curve_optimizer_steps", _whole),
            ("seconds_to_good", "curve_seconds", _time),
        )
    )
    trained = row["steps"] > 0
    totals = [_whole(row["steps"]), _whole(row["optimizer_steps"]), _time(row["seconds"])] if trained else [NONE] * 3
    return [steps + reached, optimizer_steps, seconds, *totals]


def _whole(value: float) -> str:
    return NONE if pd.isna(value) else f"{value:,.0f}"


def _time(seconds: float) -> str:
    return NONE if pd.isna(seconds) else f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _notes(options: argparse.Namespace, windows: Mapping[str, int], paper: Paper) -> list[str]:
    window = smoothing.described(windows)
    interval = (
        f"interquartile mean over seeds with a 95 % stratified bootstrap interval ({options.bootstrap_samples:,} resamples, seed "
        f"{options.bootstrap_seed}; of 3 seeds these are the mean and the range)"
        if options.stat == "iqm"
        else "mean over seeds and mean ± one population standard deviation"
    )
    return [
        f"Final return: mean discounted return of the episodes that began in the last {window} environment steps of the curve, "
        "which ends where the first episode began that training did not finish; "
        f"{interval}. Where nothing is trained, and of clones, since their demonstrator acts in training: return of the "
        "evaluation; of a single one, the interval of its episodes' mean. "
        f"In rows of {ALL}: as a share of each task's optimum, over tasks and seeds, always with the bootstrap interval.",
        "Success: of the same episodes. Success and evaluated returns are means over seeds.",
        "Steps to 90 %: environment steps until the smoothed return first reaches 90 % of the optimum, median over seeds; a seed "
        "that never does counts as later than all others. In brackets: how many seeds did. Beside it, the optimiser steps of the "
        "policy and the time that it took to get there.",
        "Steps, optimiser steps, time: of the whole training; the longest run's environment steps, medians over seeds. Time is "
        "spent on rollouts and updates, on each run's machine with whatever else ran there.",
        "Area: under the smoothed learning curve, divided by the steps: the mean return during training.",
        "P(better than PPO): share of pairs of runs, one of the method, one of PPO from scratch, in which the method's final "
        "return is higher, ties half (Agarwal et al. 2021), with a 95 % stratified bootstrap interval.",
        f"Paper: final return; {paper.legend()}.",
        *repeats.notes(options.evaluations),
        *smoothing.notes(windows, options.window),
    ]
