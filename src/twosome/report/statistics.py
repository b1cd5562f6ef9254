"""Estimates of numbers, one per run, with their intervals; and smoothed learning curves with their x-axes.

Interquartile means, stratified bootstrap intervals and probabilities of improvement are those of Agarwal et al. 2021, "Deep
Reinforcement Learning at the Edge of the Statistical Precipice". With three runs, the interquartile mean is the mean: floor(3/4)
runs, which is 0, are cut from each end. A 95 % percentile interval is then the range of the three runs: a resample that holds the
lowest run only has probability 1/27, which is more than 2.5 %.
"""

import math
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy import stats

from twosome.report.records import BIN
from twosome.report.runs import Grouped, Run

LEVEL = 0.95
Z95 = NormalDist().inv_cdf((1 + LEVEL) / 2)
BATCH = 250  # resamples that are computed at once, which bounds the memory: 28 MB for 14,000 items
Statistic = Callable[[Sequence[np.ndarray]], np.ndarray]  # A function of strata, each (..., runs), that returns an array (...)


@dataclass(frozen=True)
class Estimate:
    """A statistic and its interval or band; each a number, or an array where the statistic is one."""

    center: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def columns(self, name: str) -> dict[str, float]:
        """Return the numbers as columns of a table: name, name_low and name_high."""
        return {name: float(self.center), f"{name}_low": float(self.low), f"{name}_high": float(self.high)}


UNKNOWN = Estimate(*[np.array(math.nan)] * 3)


@dataclass(frozen=True)
class Estimator:
    """Computes statistics over runs with 95 % intervals.

    stat: "iqm" for interquartile means, or "mean-std" for the paper's mean and population standard deviation. samples, seed: of
    the bootstrap. Each interval has its own generator, so it does not depend on others.
    """

    stat: str = "iqm"
    samples: int = 2000
    seed: int = 0

    @classmethod
    def of(cls, options: Namespace) -> "Estimator":
        """Make the one that a command line describes."""
        return cls(options.stat, options.bootstrap_samples, options.bootstrap_seed)

    def over_runs(self, values: np.ndarray) -> Estimate:
        """Return the statistic over runs (first axis). A single run has no band: its ends are nan."""
        if len(values) == 1:
            return Estimate(values[0], np.full_like(values[0], np.nan), np.full_like(values[0], np.nan))
        if self.stat == "mean-std":
            center, spread = values.mean(axis=0), values.std(axis=0)
            return Estimate(center, center - spread, center + spread)
        return self.bootstrap(pooled_iqm, [values])

    def bootstrap(self, statistic: Statistic, strata: Sequence[np.ndarray]) -> Estimate:
        """Return a statistic and its 95 % percentile interval, by scipy's bootstrap.

        strata: arrays (runs, ...). Runs are drawn with replacement within each stratum (a method on a task, say), so a resample
        has as many of each as there are. scipy refuses a stratum of one run, of which all resamples are equal: it is put in after
        the drawing.
        """
        runs_last = [np.moveaxis(stratum, 0, -1) for stratum in strata]
        drawable = [stratum for stratum in runs_last if stratum.shape[-1] > 1]
        center = statistic(runs_last)
        if not drawable:
            return Estimate(center, center, center)

        def of_resamples(*drawn: np.ndarray, axis: int) -> np.ndarray:
            """Return the statistic of drawn runs, (..., resamples, runs) for each stratum that can be drawn from."""
            shape, rest = (*drawn[0].shape[:-1], 1), iter(drawn)
            whole = [each if each.shape[-1] > 1 else np.broadcast_to(each[..., np.newaxis, :], shape) for each in runs_last]
            return statistic([next(rest) if each.shape[-1] > 1 else each for each in whole])

        generator = np.random.default_rng(self.seed)
        with warnings.catch_warnings():  # scipy computes a standard error too, which infinite values do not have
            warnings.simplefilter("ignore", RuntimeWarning)
            found = stats.bootstrap(drawable, of_resamples, n_resamples=self.samples, batch=BATCH, vectorized=True, axis=-1,
                                    confidence_level=LEVEL, method="percentile", rng=generator).confidence_interval  # fmt: skip
        return Estimate(center, *found)


def iqm(values: np.ndarray) -> np.ndarray:
    """Return the interquartile mean over the last axis: the mean without the floor(n / 4) lowest and as many of the highest.

    nan where any of the values is.
    """
    runs = values.shape[-1]
    middle = np.sort(values, axis=-1)[..., runs // 4 : runs - runs // 4].mean(axis=-1)
    return np.where(np.isnan(values).any(axis=-1), np.nan, middle)


def pooled_iqm(strata: Sequence[np.ndarray]) -> np.ndarray:
    """Return the interquartile mean over all runs of all strata."""
    return iqm(np.concatenate(strata, axis=-1))


def difference(strata: Sequence[np.ndarray]) -> np.ndarray:
    """Return the interquartile mean of the first stratum less that of the second."""
    return iqm(strata[0]) - iqm(strata[1])


def improvement(strata: Sequence[np.ndarray]) -> np.ndarray:
    """Return P(X > Y): the share of pairs, a run of X and one of Y, in which X's value is higher; ties count half.

    strata: X and Y of one task, then of the next, ...; the mean over tasks.
    """
    pairs = [(x[..., :, np.newaxis], y[..., np.newaxis, :]) for x, y in zip(strata[::2], strata[1::2], strict=True)]
    return np.mean([((x > y) + (x == y) / 2).mean(axis=(-2, -1)) for x, y in pairs], axis=0)


def mean_over_tasks(strata: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over tasks of the mean over items: each task counts the same."""
    return np.mean([stratum.mean(axis=-1) for stratum in strata], axis=0)


def wilson(successes: int, trials: int) -> Estimate:
    """Return the share of successes and Wilson's 95 % score interval, of independent trials of one probability."""
    ends = stats.binomtest(successes, trials).proportion_ci(LEVEL, method="wilson")
    return Estimate(np.array(successes / trials), np.array(ends.low), np.array(ends.high))


class Axis(NamedTuple):
    """An x-axis of learning curves. name: of the option's value, and of the columns that hold it. suffix: of files' names."""

    name: str
    label: str
    suffix: str = ""
    log: bool = False


STEPS = Axis("env_steps", "environment steps")
OPTIMIZER_STEPS = Axis("optimizer_steps", "optimiser steps of the policy", "_optimizer_steps", log=True)
SECONDS = Axis("seconds", "seconds of training", "_seconds", log=True)
AXES = {axis.name: axis for axis in (STEPS, OPTIMIZER_STEPS, SECONDS)}
"""Methods differ by orders of magnitude along the logarithmic ones."""


def along(run: Run, axis: Axis, steps: np.ndarray) -> np.ndarray:
    """Return how far along an axis a run was at environment steps of its curve: linear between updates."""
    if axis is STEPS:
        return steps
    return np.interp(steps, [0, *run.bins.step], [0, *run.bins[axis.name]])


def grid(end: int, window: int) -> np.ndarray:
    """Return the environment steps at which a curve is computed: four in each window, the last one at its end (Run.end).

    The first is one window after the start, if the curve is that long.
    """
    at = np.arange(end, 0, -max(BIN, window // 4 // BIN * BIN))[::-1]
    return at[at >= min(window, end)]


def smoothed(run: Run, window: int, column: str = "return_sum") -> tuple[np.ndarray, np.ndarray]:
    """Return steps and, at each, the mean over the episodes that began in the last window steps; nan where none did.

    column: return_sum for discounted returns, successes for the success rate.
    """
    at, steps = grid(run.end, window), run.bins.step.to_numpy()
    last, first = np.searchsorted(steps, at, side="right"), np.searchsorted(steps, at - window, side="right")
    sums = {name: np.concatenate([[0.0], np.cumsum(run.bins[name].to_numpy(float))]) for name in ("episodes", column)}
    episodes, values = (sums[name][last] - sums[name][first] for name in ("episodes", column))
    return at, np.divide(values, episodes, out=np.full(len(at), math.nan), where=episodes > 0)


def windows(tasks: Grouped, asked: int) -> dict[str, int]:
    """Return the window of each task's runs: --window, but at most half of the shortest curve.

    So a curve has two points or more, unless it is a single bin.
    """
    ends = {task: [run.end for runs in methods.values() for run in runs if run.end] for task, methods in tasks.items()}
    return {task: min(asked, max(BIN, min(own, default=2 * asked) // BIN // 2 * BIN)) for task, own in ends.items()}
