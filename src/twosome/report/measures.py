"""Measures of one run: numbers made of its smoothed learning curve and its evaluations."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from twosome.report.paper import Paper
from twosome.report.runs import Run
from twosome.report.statistics import STEPS, Z95, Axis, Estimate, Estimator, along, mean_over_tasks, smoothed

GOOD = 0.9  # share of the optimum that counts as having learned the task
FEW = 30  # fewer episodes have no interval of their own: two equal ones would give one without length
EARLY = 0.15  # share of the training steps that counts as early, if it is as long as the window
HEADLINE = "acc"  # the metric that figures and claims are about: all four benchmarks have it, and POAD's numbers are of its size

Measure = Callable[[Run, int], float | np.ndarray]
"""A function of a run and the window in environment steps. It returns a number; or three, the number and its interval's ends."""


def evaluated(run: Run, what: str, mode: str = "sampled", when: str = "after", **changes: Any) -> float:
    """Return a number of a run's evaluation, on its own task but for changes (`Run.evaluation`); nan where there is none."""
    record = run.evaluation(when, mode, **changes)
    return float(record[what]) if record else math.nan


def final(run: Run, window: int, success: bool = False) -> float:
    """Return the mean discounted return, or success rate, of the last window of the curve; of the evaluation without a curve."""
    if not run.acted:
        return evaluated(run, "success_rate" if success else "return_mean")
    return float([math.nan, *smoothed(run, window, "successes" if success else "return_sum")[1]][-1])


def steps_to_good(run: Run, window: int, axis: Axis = STEPS) -> float:
    """Return the environment steps until the smoothed return first reaches 90 % of the optimum; infinite where it never does.

    nan where the optimum is not known or it has no curve. A later fall does not count. axis: what is counted in place of
    environment steps.
    """
    if not run.acted or math.isnan(run.optimum):
        return math.nan
    at, values = smoothed(run, window)
    reached = at[values >= GOOD * run.optimum]  # nan reaches nothing
    return float(along(run, axis, reached[:1])[0]) if len(reached) else math.inf


def area(run: Run, window: int, share: float = 1.0, column: str = "return_sum") -> float:
    """Return the mean of the smoothed curve over the first share of the training steps, or over the first window if it is longer.

    nan without a curve. column: as in `smoothed`.
    """
    at, values = smoothed(run, window, column) if run.acted else (np.zeros(0), np.zeros(0))
    at, values = at[~np.isnan(values)], values[~np.isnan(values)]
    if not len(at):
        return math.nan
    there = at <= max(share * max(run.steps, run.end), at[0])
    at, values = at[there], values[there]
    return float(np.trapezoid(values, at) / (at[-1] - at[0])) if len(at) > 1 else float(values[0])


def fall(run: Run, window: int) -> float:
    """Return how far the smoothed return falls, at most, below an earlier value of it; nan where it has no curve."""
    values = smoothed(run, window)[1] if run.acted else np.zeros(0)
    return deepest(values[~np.isnan(values)])


def deepest(values: np.ndarray) -> float:
    """Return the largest difference between an earlier and a later value; nan where there is none."""
    return float(np.max(np.maximum.accumulate(values) - values)) if len(values) else math.nan


def level(runs: Sequence[Run], window: int, estimator: Estimator, success: bool = False) -> Estimate:
    """Return the final return of a method, or its final success, by the statistic that --stat names.

    A policy that is only evaluated plays the same episodes whatever the run's seed, unless it learned something first. So where
    all values are equal there is one evaluation, and the band is that of its episodes: the mean's normal 95 % interval or, with
    mean-std, one standard deviation.
    """
    values = np.array([final(run, window, success) for run in runs])
    if any(run.acted for run in runs) or len(set(values)) > 1:
        return estimator.over_runs(values)
    std, episodes = (evaluated(runs[0], what) for what in ("return_std", "episodes"))
    if success:
        std = math.sqrt(values[0] * (1 - values[0]))
    half = std if estimator.stat == "mean-std" else Z95 * std / math.sqrt(episodes)
    return Estimate(values[0], values[0] - half, values[0] + half)


def unseen(run: Run, window: int, papers: Sequence[str], crossover: bool, gain: bool) -> float:
    """Return the trained agent's mean success rate over tasks of its environment that it was not trained on; nan without any.

    papers: the tasks that the paper trains agents on. crossover: whether over these tasks, or over the others. gain: whether to
    subtract the untrained model's rate.
    """
    rates = [elsewhere(run, when).set_index("task").success_rate for when in ("after", "before")]
    after, before = (each[each.index.isin(papers) == crossover] for each in rates)
    return float((after - before if gain else after).mean(skipna=False))


def elsewhere(run: Run, when: str) -> pd.DataFrame:
    """Return the evaluations on all other tasks of the run's environment. when: who plays."""
    found = run.played()
    return found[(found.env == run.config["env"]["id"]) & ~found.own & (found.when == when)]


def kept(run: Run, window: int, setting: Mapping[str, Any]) -> float:
    """Return the trained agent's success in a test of generalisation less that in its own setting, sampled; nan without both.

    setting: of the test: what of task, prompt and options it changes (paper.yaml, glam).
    """
    changes = {name: setting[name] for name in ("task", "prompt", "options") if name in setting}
    return evaluated(run, "success_rate", **changes) - evaluated(run, "success_rate")


def untrained(run: Run, window: int) -> np.ndarray:
    """Return the discounted return of the evaluation before training, and its normal 95 % interval over episodes.

    nan without one. It does not depend on the seed: the untrained model plays the same episodes in all runs.
    """
    mean, std, episodes = (evaluated(run, what, when="before") for what in ("return_mean", "return_std", "episodes"))
    half = Z95 * std / math.sqrt(episodes) if episodes >= FEW else math.nan
    return np.array([mean, mean - half, mean + half])


def untrained_elsewhere(run: Run, window: int) -> np.ndarray:
    """Return the untrained model's mean success rate over all other tasks that it played, and its 95 % interval over episodes.

    Variances are those of Agresti and Coull 1998, with two more successes and failures: a rate of 1 has one, too.
    """
    table = elsewhere(run, "before")
    rates, trials = (table.success_rate * table.episodes + 2) / (table.episodes + 4), table.episodes + 4
    mean, half = table.success_rate.mean(), Z95 * math.sqrt((rates * (1 - rates) / trials).sum()) / max(len(table), 1)
    half = half if (table.episodes >= FEW).all() else math.nan
    return np.array([mean, mean - half, mean + half])


def perplexity_ratio(run: Run, window: int) -> float:
    """Return the drift probe's perplexity after training over that before; nan where there was no probe."""
    return float(run.drift.perplexity_ratio.iloc[-1]) if len(run.drift) else math.nan


def item_changes(outcomes: str) -> np.ndarray:
    """Return for each item 1 if it was gained, -1 if it was lost, otherwise 0; shape (items,).

    outcomes: a letter for each item: lost (right before only), gained (right after only), right both times; - is neither.
    """
    return np.array([{"g": 1.0, "l": -1.0}.get(letter, 0.0) for letter in outcomes])


def change(run: Run, window: int, benchmarks: Sequence[str]) -> np.ndarray:
    """Return a run's change of accuracy, mean over benchmarks, and its 95 % interval over items, (3,); nan if one is missing.

    Where few items changed, the bootstrap's interval is too narrow. So each side is at least z² / (items + z²) long, which is
    Tango's interval where no item changed.
    """
    rows = run.accuracies[run.accuracies.metric == HEADLINE].set_index("task")
    if not set(benchmarks) <= set(rows.index):
        return np.full(3, math.nan)
    found = Estimator().bootstrap(mean_over_tasks, [item_changes(rows.outcomes[name]) for name in benchmarks])
    least = Z95**2 / (rows["items"][list(benchmarks)].sum() + Z95**2)
    return np.array([found.center, min(found.low, found.center - least), max(found.high, found.center + least)])


def by_name(paper: Paper) -> dict[str, Measure]:
    """Return the measures that claims and ablations may be about (claims.yaml, ablations.yaml)."""
    benchmarks, tests = paper.content["retention"]["benchmarks"], paper.content["glam"]["tests"]
    on_tasks = partial(unseen, papers=paper.tasks)
    return {
        "final return": final,
        "final success": partial(final, success=True),
        "evaluated success": lambda run, window: evaluated(run, "success_rate"),
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
        "return after training": lambda run, window: evaluated(run, "return_mean"),
        "success after training": lambda run, window: evaluated(run, "success_rate"),
        "success on unseen tasks": lambda run, window: float(elsewhere(run, "after").success_rate.mean()),
        "success on unseen tasks before training": untrained_elsewhere,
        "perplexity ratio": perplexity_ratio,
        "steadiness": lambda run, window: -fall(run, window),
        "change on benchmarks": partial(change, benchmarks=benchmarks),
        **{f"change on {name}": partial(change, benchmarks=[name]) for name in benchmarks},
        **{f"kept with {name}": partial(kept, setting=setting) for name, setting in tests.items()},
        **{f"lost with {name}": partial(lambda run, window, setting: -kept(run, window, setting), setting=setting)
           for name, setting in tests.items()},
    }  # fmt: skip
