"""Paired comparisons: the same items, before and after. No random state but a generator seeded by the caller."""

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import numpy as np
from scipy import stats

from twosome import seeding

LEVEL = 0.95
RESAMPLES = 10_000
Interval = tuple[float, float]


def compare(before: Sequence[bool] | np.ndarray, after: Sequence[bool] | np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Compare which items were answered right before and after, (items,) each.

    Returns the accuracies "before" and "after"; "difference": after - before, with its bootstrap "interval"; "lost": items right
    before and wrong after; "gained": the other way round; "p_value": McNemar's, exact; "no_loss_above": the smallest loss of
    accuracy that the items exclude.
    """
    old, new = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    items, lost, gained = len(old), int((old & ~new).sum()), int((new & ~old).sum())
    change = (new.astype(float) - old.astype(float))[:, None]
    return {
        "items": items,
        "before": float(old.mean()),
        "after": float(new.mean()),
        "difference": (gained - lost) / items,
        "interval": bootstrap(change, lambda sums: sums[:, 0] / items, seed),
        "lost": lost,
        "gained": gained,
        "p_value": mcnemar(lost, gained),
        "no_loss_above": max(0.0, loss_bound(items, lost, gained)),
    }


def mcnemar(lost: int, gained: int) -> float:
    """Exact two-sided p-value of McNemar's test: among the items that changed, either direction is as likely (binomial, 1/2)."""
    return float(stats.binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def bootstrap(
    units: np.ndarray, statistic: Callable[[np.ndarray], Any], seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """Percentile interval (Efron 1979) of a statistic of sums over units that are drawn with replacement.

    units: (n, k), a row per independent unit; what belongs together (before and after) stands in one row. statistic: from
    the columns' sums in each resample, (resamples, k), to its values, (resamples,).
    """
    if len(units) == 1:  # scipy refuses it
        return (float(statistic(units)[0]),) * 2
    found = stats.bootstrap(
        [np.arange(len(units))],
        lambda drawn, axis: statistic(units[drawn].sum(axis=axis - 1)),
        n_resamples=resamples,
        batch=max(1, 2_000_000 // units.size),  # resamples at a time: bounds the memory
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seeding.stream(seed, "bootstrap")),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def loss_bound(items: int, lost: int, gained: int, level: float = LEVEL) -> float:
    """Upper end of the score interval (Tango 1998, Statistics in Medicine 17:891) of the loss, (lost - gained) / items.

    The bootstrap would claim certainty where no item changed: its interval is then [0, 0]. This one is z² / (items + z²).
    """
    z = stats.norm.ppf((1 + level) / 2)
    low, high = (lost - gained) / items, 1.0
    for _ in range(60):  # bisection; the score falls as the supposed loss grows
        middle = (low + high) / 2
        low, high = (middle, high) if _score(items, lost, gained, middle) > -z else (low, middle)
    return high


def _score(items: int, lost: int, gained: int, loss: float) -> float:
    """Tango's statistic of the hypothesis that the loss is `loss`: standard normal where it is true."""
    a = 2 * items
    b = (2 * items - lost + gained) * loss - lost - gained
    c = -gained * loss * (1 - loss)
    share_gained = (sqrt(b * b - 4 * a * c) - b) / (2 * a)  # the most likely one under the hypothesis
    variance = items * (2 * share_gained + loss * (1 - loss))
    return (lost - gained - items * loss) / sqrt(variance) if variance > 0 else 0.0
