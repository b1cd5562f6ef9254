"""The measures of one run: numbers made of its smoothed learning curve and its evaluations."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from twosome.report.data.run import Run
from twosome.report.paper import Paper
from twosome.report.statistics import glam, retention, transfer
from twosome.report.statistics.axes import STEPS, Axis, along, known
from twosome.report.statistics.estimates import Z95, Bootstrap, Estimate, over_runs
from twosome.report.statistics.smoothing import smoothed

GOOD = 0.9
"""Share of the optimum that counts as having learned the task."""
FEW = 30
"""Fewer episodes have no interval of their own: two equal ones would give one without length."""
EARLY = 0.15
"""Share of the training steps that counts as early, if it is as long as the window."""


def final_return(run: Run, window: int) -> float:
    """Return the mean discounted return of the last window of the curve; of the evaluation where it has no curve."""
    return _last(run, window, "return_sum") if run.acted else evaluated(run, "return_mean", "sampled")


def final_success(run: Run, window: int) -> float:
    """Return the success rate of the last window of the curve; of the evaluation where it has no curve."""
    return _last(run, window, "successes") if run.acted else evaluated(run, "success_rate", "sampled")


def _last(run: Run, window: int, column: str) -> float:
    """Return the last value of the smoothed curve; nan where it has none."""
    return float([math.nan, *smoothed(run, window, column)[1]][-1])


def steps_to_good(run: Run, window: int, axis: Axis = STEPS) -> float:
    """Return the environment steps until the smoothed return first reaches 90 % of the optimum; infinite where it never does.

    nan where the optimum is not known or it has no curve. A later fall does not count. axis: what is counted in place of
    environment steps; nan where the run does not say it.
    """
    if not run.acted or math.isnan(run.optimum) or not known(run, axis):
        return math.nan
    at, values = smoothed(run, window)
    reached = at[values >= GOOD * run.optimum]  # nan reaches nothing
    return float(along(run, axis, reached[:1])[0]) if len(reached) else math.inf


def area(run: Run, window: int, share: float = 1.0, column: str = "return_sum") -> float:
    """Return the area under the smoothed curve over the first share of the training steps, divided by their number.

    Over the first window where the share is shorter. column: as in `smoothed`.
    """
    if not run.acted:
        return math.nan
    at, values = smoothed(run, window, column)
    at, values = at[~np.isnan(values)], values[~np.isnan(values)]
    if not len(at):
        return math.nan
    there = at <= max(share * max(run.steps, run.end), at[0])
    at, values = at[there], values[there]
    if len(at) == 1:
        return float(values[0])
    return float(np.trapezoid(values, at) / (at[-1] - at[0]))


def fall(run: Run, window: int) -> float:
    """Return how far the smoothed return falls, at most, below an earlier value of it; nan where it has no curve."""
    if not run.acted:
        return math.nan
    _, values = smoothed(run, window)
    return deepest(values[~np.isnan(values)])


def deepest(values: np.ndarray) -> float:
    """Return the largest difference between an earlier and a later value; nan where there is none."""
    return float(np.max(np.maximum.accumulate(values) - values)) if len(values) else math.nan


def evaluated(run: Run, what: str, mode: str, when: str = "after") -> float:
    """Return a number of the run's evaluation on its own task; nan where there is none."""
    record = run.evaluation(when, mode)
    return float(record[what]) if record else math.nan


def level(runs: Sequence[Run], window: int, stat: str, bootstrap: Bootstrap, success: bool = False) -> Estimate:
    """Return the final return of a method, or its final success, by the statistic that --stat names.

    A policy that is only evaluated plays the same episodes whatever the run's seed, unless it learned something first. So where
    all values are equal there is one evaluation, and the band is that of its episodes: the mean's normal 95 % interval or, with
    mean-std, one standard deviation.
    """
    values = np.array([(final_success if success else final_return)(run, window) for run in runs])
    if any(run.acted for run in runs) or len(set(values)) > 1:
        return over_runs(values, stat, bootstrap)
    std, episodes = (evaluated(runs[0], what, "sampled") for what in ("return_std", "episodes"))
    if success:
        std = math.sqrt(values[0] * (1 - values[0]))
    half = std if stat == "mean-std" else Z95 * std / math.sqrt(episodes)
    return Estimate(values[0], values[0] - half, values[0] + half)


def unseen(run: Run, window: int, papers: Sequence[str], crossover: bool, gain: bool) -> float:
    """Return the trained agent's mean success rate over tasks of its environment that it was not trained on; nan without any.

    papers: the tasks that the paper trains agents on. crossover: whether over these tasks, or over the others. gain: whether to
    subtract the untrained model's rate.
    """
    table = transfer.played(run)
    table = table[(table.env == run.config["env"]["id"]) & ~table.own & (table.task.isin(papers) == crossover)]
    after, before = (table[table.when == when].set_index("task").success_rate for when in ("after", "before"))
    return float((after - before if gain else after).mean(skipna=False))


def kept(run: Run, window: int, setting: Mapping[str, Any]) -> float:
    """Return the trained agent's success in a test of generalisation less that in its own setting, sampled; nan without both.

    setting: of the test: what of task, prompt and options it changes (paper.yaml, glam).
    """
    own, there = (glam.record(run, each, "after") for each in ({}, setting))
    return float(there["success_rate"] - own["success_rate"]) if own and there else math.nan


def lost(run: Run, window: int, setting: Mapping[str, Any]) -> float:
    """Return the opposite of `kept`."""
    return -kept(run, window, setting)


def untrained(run: Run, window: int) -> np.ndarray:
    """Return the discounted return of the evaluation before training, and its normal 95 % interval over episodes.

    nan without one. It does not depend on the seed: the untrained model plays the same episodes in all runs.
    """
    return_mean, std, episodes = (evaluated(run, what, "sampled", "before") for what in ("return_mean", "return_std", "episodes"))
    half = Z95 * std / math.sqrt(episodes) if episodes >= FEW else math.nan
    return np.array([return_mean, return_mean - half, return_mean + half])


def elsewhere(run: Run, window: int, when: str) -> float:
    """Return the mean success rate over all other tasks of the run's environment that it played; nan without any."""
    return float(_elsewhere(run, when).success_rate.mean())


def untrained_elsewhere(run: Run, window: int) -> np.ndarray:
    """Return elsewhere() before training, and its 95 % interval over episodes; nan without any.

    Variances are those of Agresti and Coull 1998, with two more successes and failures: a rate of 1 has one, too.
    """
    table = _elsewhere(run, "before")
    rates, trials = (table.success_rate * table.episodes + 2) / (table.episodes + 4), table.episodes + 4
    mean, half = table.success_rate.mean(), Z95 * math.sqrt((rates * (1 - rates) / trials).sum()) / max(len(table), 1)
    half = half if (table.episodes >= FEW).all() else math.nan
    return np.array([mean, mean - half, mean + half])


def _elsewhere(run: Run, when: str) -> pd.DataFrame:
    table = transfer.played(run)
    return table[(table.env == run.config["env"]["id"]) & ~table.own & (table.when == when)]


def drifted(run: Run, window: int, column: str) -> float:
    """Return a number of the drift probe after training; nan where there was none."""
    table = run.counted_retained.drift
    return float(table[column].iloc[-1]) if len(table) else math.nan


def change(run: Run, window: int, benchmarks: Sequence[str]) -> np.ndarray:
    """Return the change of accuracy on benchmarks, and its 95 % interval over their items; nan where one is missing."""
    return retention.change(run.counted_retained, benchmarks)


Measure = Callable[[Run, int], float | np.ndarray]
"""A function of a run and the window in environment steps. It returns a number; or three, the number and its interval's ends."""


def by_name(paper: Paper) -> dict[str, Measure]:
    """Return the measures that claims and ablations may be about (claims.yaml, ablations.yaml)."""
    benchmarks = paper.retention["benchmarks"]
    on_tasks, tests = partial(unseen, papers=paper.tasks), paper.content["glam"]["tests"]
    return {
        "final return": final_return,
        "final success": final_success,
        "evaluated success": lambda run, window: evaluated(run, "success_rate", "sampled"),
        "quickness": lambda run, window: -steps_to_good(run, window),
        "early return": partial(area, share=EARLY),
        "fall": fall,
        "success on new tasks": partial(on_tasks, crossover=False, gain=False),
        "gain on new tasks": partial(on_tasks, crossover=False, gain=True),
        "gain on the crossover": partial(on_tasks, crossover=True, gain=True),
        "area": area,
        "area of success": partial(area, column="successes"),
        "seconds": lambda run, window: run.seconds,
        "return before training": untrained,
        "return after training": lambda run, window: evaluated(run, "return_mean", "sampled"),
        "success after training": lambda run, window: evaluated(run, "success_rate", "sampled"),
        "success on unseen tasks": partial(elsewhere, when="after"),
        "success on unseen tasks before training": untrained_elsewhere,
        "perplexity ratio": partial(drifted, column="perplexity_ratio"),
        "steadiness": lambda run, window: -fall(run, window),
        "change on benchmarks": partial(change, benchmarks=benchmarks),
        **{f"change on {name}": partial(change, benchmarks=[name]) for name in benchmarks},
        **{f"kept with {name}": partial(kept, setting=setting) for name, setting in tests.items()},
        **{f"lost with {name}": partial(lost, setting=setting) for name, setting in tests.items()},
    }
