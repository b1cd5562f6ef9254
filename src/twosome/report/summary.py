"""The summary: a row per task and method, with what was reached, how soon, how surely, and what the paper reports."""

import math
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from twosome.report import measures, style
from twosome.report.output import NONE, Table, bracketed, latest, notes, number
from twosome.report.paper import Paper, decimal
from twosome.report.runs import Grouped, Methods, Run
from twosome.report.statistics import AXES, STEPS, UNKNOWN, Estimate, Estimator, along, improvement, pooled_iqm, windows

REFERENCES = ("ppo", "ppo-film_lstm")  # reference methods; the first one present is used
ALL = "all tasks"


def rows(tasks: Grouped, window: int, paper: Paper, estimator: Estimator) -> Iterator[dict[str, Any]]:
    """Yield a row for each task and method, then those over all tasks. window: --window."""
    lengths = windows(tasks, window)
    for task, methods in tasks.items():
        for method in style.order(list(methods)):
            runs, curve = methods[method], paper.curve(task, method)
            low, high = curve.get("final", (math.nan, math.nan))
            areas = np.array([measures.area(run, lengths[task]) for run in runs])
            yield {
                **{"task": task, "method": method, "seeds": len(runs)},
                **measures.level(runs, lengths[task], estimator).columns("final_return"),
                "success": np.mean([measures.final(run, lengths[task], success=True) for run in runs]),
                **_spent(runs, lengths[task]),
                **estimator.over_runs(areas).columns("area"),
                "evaluated_sampled": np.mean([measures.evaluated(run, "return_mean") for run in runs]),
                "evaluated_greedy": np.mean([measures.evaluated(run, "return_mean", "greedy") for run in runs]),
                **_improvement([(runs, methods, lengths[task])], estimator).columns("improvement"),
                **{"paper_low": low, "paper_high": high, "paper_tag": paper.content["tag"] if curve else ""},
            }
    shared = set.intersection(*(set(methods) for methods in tasks.values())) - {"optimal"} if len(tasks) > 1 else set()
    for method in style.order(sorted(shared)):
        strata = [(methods[method], methods, lengths[task]) for task, methods in tasks.items()]
        if all(run.steps and run.optimum > 0 for runs, _, _ in strata for run in runs):
            shares = [_finals(runs, length) / [run.optimum for run in runs] for runs, _, length in strata]
            yield {
                **{"task": ALL, "method": method, "seeds": min(map(len, shares))},
                **estimator.bootstrap(pooled_iqm, shares).columns("final_return"),
                **_improvement(strata, estimator).columns("improvement"),
            }


def _finals(runs: Sequence[Run], window: int) -> np.ndarray:
    return np.array([measures.final(run, window) for run in runs])


def _improvement(strata: Sequence[tuple[Sequence[Run], Methods, int]], estimator: Estimator) -> Estimate:
    """Return P(better than the reference) in final return, over tasks; nan for the reference and for what is not trained.

    strata: of each task a method's runs, those of all methods, and the window.
    """
    finals = []
    for runs, methods, window in strata:
        reference: Sequence[Run] = next((methods[name] for name in REFERENCES if name in methods), [])
        if not reference or runs[0].method in REFERENCES or not all(run.acted for run in (*runs, *reference)):
            return UNKNOWN
        finals += [_finals(runs, window), _finals(reference, window)]
    return UNKNOWN if any(np.isnan(values).any() for values in finals) else estimator.bootstrap(improvement, finals)


def _spent(runs: Sequence[Run], window: int) -> dict[str, float]:
    """Return what it took to 90 % of the optimum, along each axis, and what the runs took: medians over seeds.

    reached: how many seeds got there. curve_...: how far their curves go. steps: the most environment steps of a run.
    """
    found: dict[str, float] = {}
    for axis in AXES.values():
        good = np.array([measures.steps_to_good(run, window, axis) for run in runs])
        found["steps_to_good" if axis is STEPS else f"{axis.name}_to_good"] = float(np.median(good))
        if axis is STEPS:
            found["reached"] = np.isfinite(good).sum() if not np.isnan(good).any() else math.nan
        found[f"curve_{axis.name}"] = float(np.median([along(run, axis, np.array([run.end])) for run in runs]))
    totals = {name: float(np.median([getattr(run, name) for run in runs])) for name in ("optimizer_steps", "seconds")}
    return found | {"steps": max(run.steps for run in runs)} | totals


def table(tasks: Grouped, paper: Paper, options: Namespace) -> Table:
    """Make the table."""
    data = pd.DataFrame(rows(tasks, options.window, paper, Estimator.of(options)))
    cells = [_cells({str(name): value for name, value in row.items()}, paper) for _, row in data.iterrows()]
    lengths, samples = windows(tasks, options.window), f"{options.bootstrap_samples:,}"
    interval = notes(f"interval {options.stat}", samples=samples, seed=options.bootstrap_seed)[0]
    remarks = notes("summary", window=style.described(lengths), interval=interval, all=ALL, legend=paper.legend())
    remarks += [*latest(options.evaluations), *style.window_notes(lengths, options.window)]
    return Table.of("Summary", cells, remarks, data=data)


def _cells(row: Mapping[str, Any], paper: Paper) -> dict[str, str]:
    """Show a row, by column."""
    final = paper.curve(row["task"], row["method"]).get("final", [])
    taken = [
        NONE if pd.isna(row[good]) else ("> " if math.isinf(row[good]) else "") + show(min(row[good], row[end]))
        for good, end, show in (
            ("steps_to_good", "curve_env_steps", _whole),
            ("optimizer_steps_to_good", "curve_optimizer_steps", _whole),
            ("seconds_to_good", "curve_seconds", _time),
        )
    ]
    return {
        "task": row["task"] if row["task"] == ALL else style.title(row["task"]),
        "method": style.label(row["method"]),
        "seeds": f"{row['seeds']:.0f}",
        "final return": bracketed([row[f"final_return{end}"] for end in ("", "_low", "_high")], 3),
        "success": number(row["success"]),
        "steps to 90 %": taken[0] + ("" if pd.isna(row["reached"]) else f" ({row['reached']:.0f} of {row['seeds']:.0f})"),
        "optimiser steps to 90 %": taken[1],
        "time to 90 %": taken[2],
        "steps": _whole(row["steps"]) if row["steps"] > 0 else NONE,
        "optimiser steps": _whole(row["optimizer_steps"]) if row["steps"] > 0 else NONE,
        "time": _time(row["seconds"]) if row["steps"] > 0 else NONE,
        "area": number(row["area"], 3),
        "evaluated, sampled": number(row["evaluated_sampled"], 3),
        "evaluated, greedy": number(row["evaluated_greedy"], 3),
        "P(better than PPO)": bracketed([row[f"improvement{end}"] for end in ("", "_low", "_high")]),
        "paper": f"{' to '.join(dict.fromkeys(map(decimal, final)))} {paper.tag()}" if final else NONE,
    }


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _time(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
