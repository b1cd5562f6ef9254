"""The change of accuracy on benchmarks: of one run, and pooled over seeds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from twosome.errors import UserError
from twosome.report.data.retention import HEADLINE, RIGHT, Retained
from twosome.report.statistics.estimates import Z95, Bootstrap, Estimate


@dataclass(frozen=True)
class Pooled:
    """A benchmark's metric over runs that differ in nothing but the seed.

    before, after: accuracies, means over seeds. change: after - before, and its 95 % interval over items. by_seed:
    each run's change; p_values: each run's, by McNemar's test. no_loss_above: the smallest loss that is excluded.
    """

    items: int
    before: float
    after: float
    change: Estimate
    by_seed: list[float]
    p_values: list[float]
    no_loss_above: float


def pooled(rows: pd.DataFrame, bootstrap: Bootstrap) -> Pooled:
    """Pool the rows of one benchmark and metric; each run has one.

    All seeds have the same items. So the change of an item is averaged over seeds, and items are resampled: more seeds do not
    make more items. no_loss_above is the mean of the seeds' bounds (Tango's). It is not below the bound of the mean change,
    whose standard error is at most the mean of the seeds' standard errors. Where a run kept no outcomes (the drift probe's
    questions), the interval's ends are means of the seeds' ends. Raises UserError where runs have different items.
    """
    if len(asked := set(zip(rows["items"], rows.data, strict=True))) > 1:
        task, metric = rows.iloc[0][["task", "metric"]]
        raise UserError(
            f"{task}, {metric}: expected the same items in all runs, found {len(asked)} different choices of them; do "
            "src/evaluate.py suite=retention with the same data and retention.limit for each"
        )
    if all(rows.outcomes):
        change = bootstrap.estimate(_mean, [np.mean([changes(outcomes) for outcomes in rows.outcomes], axis=0)])
    else:
        change = Estimate(*(np.array(rows[name].mean()) for name in ("difference", "low", "high")))
    return Pooled(
        *(int(rows["items"].iloc[0]), float(rows.before.mean()), float(rows.after.mean()), change),
        *(rows.difference.tolist(), rows.p_value.tolist(), float(rows.no_loss_above.mean())),
    )


def changes(outcomes: str) -> np.ndarray:
    """Return for each item 1 if it was gained, -1 if it was lost, otherwise 0; shape (items,)."""
    after, before = (np.array([letter in RIGHT[when] for letter in outcomes], dtype=float) for when in ("after", "before"))
    return after - before


def _mean(strata: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over tasks of the mean over items: each task counts the same."""
    return np.mean([stratum.mean(axis=-1) for stratum in strata], axis=0)


def change(retained: Retained, benchmarks: Sequence[str]) -> np.ndarray:
    """Return a run's change of accuracy, mean over benchmarks, and its 95 % interval over items, (3,); nan if one is missing.

    Where few items changed, the bootstrap's interval is too narrow. So each side is at least z² / (items + z²) long, which is
    Tango's interval where no item changed.
    """
    rows = retained.accuracies[retained.accuracies.metric == HEADLINE].set_index("task")
    if not set(benchmarks) <= set(rows.index):
        return np.full(3, math.nan)
    found = Bootstrap().estimate(_mean, [changes(rows.outcomes[name]) for name in benchmarks])
    least = Z95**2 / (rows["items"][list(benchmarks)].sum() + Z95**2)
    return np.array([found.center, min(found.low, found.center - least), max(found.high, found.center + least)])


def over_training(tables: Sequence[pd.DataFrame]) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield the steps at which all runs were probed, and at each of them the runs' rows of their forgetting tables."""
    common = set.intersection(*(set(table.env_steps) for table in tables))
    for step in sorted(common):
        yield step, pd.concat([table[table.env_steps == step] for table in tables])
