"""The statistics of Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".

Interquartile means, stratified bootstrap intervals and probabilities of improvement, all over runs. With three runs, the
interquartile mean is the mean (floor(3 / 4) = 0 runs are cut from each end), and a 95 % percentile interval is the range of the
three runs: a resample that holds the lowest run only has probability 1/27, which is more than 2.5 %.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
Z95 = 1.959964  # the normal distribution's 97.5 % quantile
Statistic = Callable[[Sequence[np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """A statistic and its interval or band; each a number, or an array where the statistic is one."""

    center: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Bootstrap:
    """How often to resample, and the seed of it. Each interval has its own generator: it does not depend on others."""

    samples: int = 2000
    seed: int = 0

    def estimate(self, statistic: Statistic, strata: Sequence[np.ndarray]) -> Estimate:
        """A statistic and its 95 % percentile interval.

        strata: arrays (runs, ...); runs are drawn with replacement within each (a method on a task, say), so that a
        resample has as many of each as there are.
        """
        rng = np.random.default_rng(self.seed)
        sizes = [len(stratum) for stratum in strata]
        drawn = [statistic([s[rng.integers(n, size=n)] for s, n in zip(strata, sizes, strict=True)]) for _ in range(self.samples)]
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return Estimate(statistic(strata), low, high)


def iqm(values: np.ndarray) -> np.ndarray:
    """Interquartile mean over the first axis: the mean without the floor(n / 4) lowest and as many of the highest.

    nan where any of the values is.
    """
    cut = len(values) // 4
    middle = np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0)
    return np.where(np.isnan(values).any(axis=0), np.nan, middle)


def pooled_iqm(strata: Sequence[np.ndarray]) -> np.ndarray:
    """Interquartile mean over all runs of all strata; for one stratum, its own."""
    return iqm(np.concatenate(strata))


def difference(strata: Sequence[np.ndarray]) -> np.ndarray:
    """Interquartile mean of the first stratum less that of the second."""
    return iqm(strata[0]) - iqm(strata[1])


def improvement(strata: Sequence[np.ndarray]) -> np.ndarray:
    """P(X > Y): the share of pairs, a run of X and one of Y, in which X's value is higher; ties count half.

    strata: X and Y of one task, then of the next, ...; the mean over tasks.
    """
    pairs = [(x[:, None], y[None, :]) for x, y in zip(strata[::2], strata[1::2], strict=True)]
    return np.mean([np.mean(x > y) + np.mean(x == y) / 2 for x, y in pairs])


def mean_std(values: np.ndarray) -> Estimate:
    """Mean over the first axis, and a band of one population standard deviation: what the paper draws."""
    center, spread = values.mean(axis=0), values.std(axis=0)
    return Estimate(center, center - spread, center + spread)


def over_runs(values: np.ndarray, stat: str, bootstrap: Bootstrap) -> Estimate:
    """The statistic that --stat names, over runs (first axis). A single run has no band: its ends are nan."""
    if len(values) == 1:
        return Estimate(values[0], np.full_like(values[0], np.nan), np.full_like(values[0], np.nan))
    return mean_std(values) if stat == "mean-std" else bootstrap.estimate(pooled_iqm, [values])


def wilson(successes: int, trials: int) -> Estimate:
    """The share of successes and Wilson's 95 % score interval, of trials of one probability that do not depend on each other."""
    share, shrink = successes / trials, 1 + Z95**2 / trials
    middle = (share + Z95**2 / (2 * trials)) / shrink
    half = Z95 / shrink * math.sqrt(share * (1 - share) / trials + Z95**2 / (4 * trials**2))
    low, high = max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))  # rounding errors at 0 and 1
    return Estimate(np.array(share), np.array(low), np.array(high))
