"""What is measured of one run: a smoothed learning curve, and numbers made of it."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

import paper
import retained
import transfer
from commands import AnalysisError
from runs import BIN, Run
from stats import Z95, Bootstrap, Estimate, over_runs

GOOD = 0.9
"""Share of the optimum that counts as having learned the task."""
EARLY = 0.15
"""Share of the training steps that counts as early."""


def check_window(window: int) -> None:
    """A window is a number of whole bins; raises AnalysisError."""
    if window % BIN:
        raise AnalysisError(f"--window {window}: expected a multiple of {BIN} environment steps, as {-(-window // BIN) * BIN}")


def grid(steps: int, window: int) -> np.ndarray:
    """The environment steps at which a curve is computed: four in each window, the last one at the end of the run.

    The first has a whole window behind it, if the run is that long: the very first episodes to end are the short, lucky ones.
    """
    end = -(-steps // BIN) * BIN
    at = np.arange(end, 0, -max(BIN, window // 4 // BIN * BIN))[::-1]
    return at[at >= min(window, end)]


def smoothed(run: Run, window: int, column: str = "return_sum") -> tuple[np.ndarray, np.ndarray]:
    """Steps and, at each, the mean over the episodes that ended in the last window steps; nan where none did.

    column: return_sum for discounted returns, successes for the success rate.
    """
    at, steps = grid(run.steps, window), run.bins.step.to_numpy()
    last, first = np.searchsorted(steps, at, side="right"), np.searchsorted(steps, at - window, side="right")

    def within(name: str) -> np.ndarray:
        total = np.concatenate([[0.0], np.cumsum(run.bins[name].to_numpy(float))])
        return total[last] - total[first]

    episodes = within("episodes")
    return at, np.divide(within(column), episodes, out=np.full(len(at), math.nan), where=episodes > 0)


def final_return(run: Run, window: int) -> float:
    """Mean discounted return of the last window of training; of the evaluation where nothing was trained."""
    return float(smoothed(run, window)[1][-1]) if run.steps else evaluated(run, "return_mean", "sampled")


def final_success(run: Run, window: int) -> float:
    """The same of the success rate."""
    return float(smoothed(run, window, "successes")[1][-1]) if run.steps else evaluated(run, "success_rate", "sampled")


def steps_to_good(run: Run, window: int) -> float:
    """Environment steps until the smoothed return first reaches 90 % of the optimum; infinite where it never does.

    nan where the optimum is not known or nothing was trained. A later fall does not count.
    """
    if not run.steps or math.isnan(run.optimum):
        return math.nan
    at, values = smoothed(run, window)
    reached = at[values >= GOOD * run.optimum]  # nan reaches nothing
    return float(reached[0]) if len(reached) else math.inf


def area(run: Run, window: int, share: float = 1.0) -> float:
    """Area under the smoothed curve over the first share of the training steps, divided by their number: a mean return."""
    if not run.steps:
        return math.nan
    at, values = smoothed(run, window)
    there = ~np.isnan(values) & (at <= share * at[-1])
    at, values = at[there], values[there]
    if len(at) < 2:
        return float(values[0]) if len(at) else math.nan
    return float(np.trapezoid(values, at) / (at[-1] - at[0]))


def fall(run: Run, window: int) -> float:
    """How far the smoothed return falls, at most, below an earlier value of it; nan where nothing was trained."""
    if not run.steps:
        return math.nan
    _, values = smoothed(run, window)
    return deepest(values[~np.isnan(values)])


def deepest(values: np.ndarray) -> float:
    """The largest difference between an earlier and a later value; nan of none."""
    return float(np.max(np.maximum.accumulate(values) - values)) if len(values) else math.nan


def evaluated(run: Run, what: str, mode: str, when: str = "after") -> float:
    """A number of the run's own evaluation; nan where there is none."""
    record = run.evaluation(when, mode)
    return float(record[what]) if record else math.nan


def level(runs: Sequence[Run], window: int, stat: str, bootstrap: Bootstrap) -> Estimate:
    """The final return of a method, by the statistic that --stat names.

    A policy that is only evaluated plays the same episodes whatever the run's seed, unless it learned something first: where all
    returns are the same there is one evaluation, and its episodes give the band, the mean's normal 95 % interval or, with
    mean-std, one standard deviation.
    """
    returns = np.array([final_return(run, window) for run in runs])
    if any(run.steps for run in runs) or len(set(returns)) > 1:
        return over_runs(returns, stat, bootstrap)
    std, episodes = (evaluated(runs[0], what, "sampled") for what in ("return_std", "episodes"))
    half = std if stat == "mean-std" else Z95 * std / math.sqrt(episodes)
    return Estimate(returns[0], returns[0] - half, returns[0] + half)


def unseen(run: Run, window: int, crossover: bool, gain: bool) -> float:
    """The trained agent's mean success rate over tasks of its environment that it was not trained on; nan where none was played.

    crossover: whether on those that the paper trains other agents on, or on those that it only tests on. gain: less the untrained
    model's.
    """
    table = transfer.played(run)
    table = table[(table.env == run.config["env"]["id"]) & ~table.own & (table.task.isin(paper.content()["tasks"]) == crossover)]
    after, before = (table[table.when == when].set_index("task").success_rate for when in ("after", "before"))
    return float((after - before if gain else after).mean(skipna=False))


def change(run: Run, window: int, benchmarks: Sequence[str]) -> np.ndarray:
    """The change of accuracy on benchmarks, and its 95 % interval over their items; nan where one was not asked."""
    return retained.change(run.counted_retained, benchmarks)


Measure = Callable[[Run, int], float | np.ndarray]
MEASURES: dict[str, Measure] = {
    "final return": final_return,
    "quickness": lambda run, window: -steps_to_good(run, window),
    "early return": partial(area, share=EARLY),
    "fall": fall,
    "success on new tasks": partial(unseen, crossover=False, gain=False),
    "gain on new tasks": partial(unseen, crossover=False, gain=True),
    "gain on the crossover": partial(unseen, crossover=True, gain=True),
    "steadiness": lambda run, window: -fall(run, window),
    "change on benchmarks": partial(change, benchmarks=paper.content()["retention"]["benchmarks"]),
    **{f"change on {name}": partial(change, benchmarks=[name]) for name in paper.content()["retention"]["benchmarks"]},
}
"""What claims may be about (claims.yaml, "measure"): functions of a run and the window in environment steps.

A number; or three, where a run's number has a 95 % interval of its own: the number and the interval's ends.
"""
