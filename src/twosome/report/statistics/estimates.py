"""Estimates of numbers, one per run, with their intervals.

Interquartile means, stratified bootstrap intervals and probabilities of improvement are those of Agarwal et al. 2021, "Deep
Reinforcement Learning at the Edge of the Statistical Precipice". With three runs, the interquartile mean is the mean: floor(3/4)
runs, which is 0, are cut from each end. A 95 % percentile interval is then the range of the three runs: a resample that holds the
lowest run only has probability 1/27, which is more than 2.5 %.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy import stats

LEVEL = 0.95
Z95 = NormalDist().inv_cdf((1 + LEVEL) / 2)
BATCH = 250  # resamples that are computed at once, which bounds the memory: 28 MB for 14,000 items
Statistic = Callable[[Sequence[np.ndarray]], np.ndarray]
"""A function of strata, each (..., runs), that returns an array (...)."""


@dataclass(frozen=True)
class Estimate:
    """A statistic and its interval or band; each a number, or an array where the statistic is one."""

    center: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Bootstrap:
    """How often to resample, and the seed of it. Each interval has its own generator, so it does not depend on others."""

    samples: int = 2000
    seed: int = 0

    def estimate(self, statistic: Statistic, strata: Sequence[np.ndarray]) -> Estimate:
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
            return statistic([
                next(rest) if stratum.shape[-1] > 1 else np.broadcast_to(stratum[..., np.newaxis, :], shape)
                for stratum in runs_last
            ])  # fmt: skip

        with warnings.catch_warnings():  # scipy computes a standard error too, which infinite values do not have
            warnings.simplefilter("ignore", RuntimeWarning)
            found = stats.bootstrap(
                drawable,
                of_resamples,
                n_resamples=self.samples,
                batch=BATCH,
                vectorized=True,
                axis=-1,
                confidence_level=LEVEL,
                method="percentile",
                rng=np.random.default_rng(self.seed),
            )
        return Estimate(center, *found.confidence_interval)


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


def mean_std(values: np.ndarray) -> Estimate:
    """Return the mean over the first axis, and a band of one population standard deviation: what the paper draws."""
    center, spread = values.mean(axis=0), values.std(axis=0)
    return Estimate(center, center - spread, center + spread)


def over_runs(values: np.ndarray, stat: str, bootstrap: Bootstrap) -> Estimate:
    """Return the statistic that --stat names, over runs (first axis). A single run has no band: its ends are nan."""
    if len(values) == 1:
        return Estimate(values[0], np.full_like(values[0], np.nan), np.full_like(values[0], np.nan))
    return mean_std(values) if stat == "mean-std" else bootstrap.estimate(pooled_iqm, [values])


def wilson(successes: int, trials: int) -> Estimate:
    """Return the share of successes and Wilson's 95 % score interval, of independent trials of one probability."""
    ends = stats.binomtest(successes, trials).proportion_ci(LEVEL, method="wilson")
    return Estimate(np.array(successes / trials), np.array(ends.low), np.array(ends.high))
