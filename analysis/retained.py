"""What runs kept of the language model's knowledge: the tables of retention.json and retention.csv, and how seeds are pooled."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import checks
import counting
from commands import AnalysisError
from stats import Z95, Bootstrap, Estimate

QUESTIONS = "drift"
"""The task of the drift probe's own questions, among benchmarks."""
HEADLINE = "acc"
"""The metric that figures and claims are about: all four benchmarks have it, and POAD's numbers are of its size."""

ACCURACIES = {
    **{"task": str, "metric": str, "items": int},
    **dict.fromkeys(("before", "after", "difference", "low", "high"), float),
    **{"lost": int, "gained": int, "p_value": float, "no_loss_above": float, "lm_eval": str, "data": str, "outcomes": str},
    counting.EVALUATED: str,
}
DRIFT = {
    "tokens": int,
    **{f"{name}{end}": float for name in ("kl", "perplexity_ratio", "top1_agreement") for end in ("", "_low", "_high")},
    **{"perplexity_before": float, "perplexity_after": float, "texts": str, counting.EVALUATED: str},
}
FORGETTING = {
    **{"update": int, "env_steps": int, "return": float, "success_rate": float, "kl": float, "perplexity_ratio": float},
    **{"top1_agreement": float, "acc": float, "acc_norm": float},
}
COLUMNS: dict[str, dict[str, type]] = {"accuracies": ACCURACIES, "drift": DRIFT, "forgetting": FORGETTING}
MISSING = {"forgetting": ("return", "success_rate")}
"""The tables, and which of their columns may lack a number: no episode may have ended."""
AGAIN = "evaluate the run again"
OUTCOMES = "-lgr"
RIGHT = {"before": "lr", "after": "gr"}
"""The letters of outcomes that say right: lost (before only), gained (after only), right both times; - is neither."""


def empty(columns: Mapping[str, type]) -> pd.DataFrame:
    """A table without rows."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})


@dataclass(frozen=True, eq=False)
class Retained:
    """A run's tables: accuracies, a row per benchmark, metric and evaluation; drift, one per evaluation; forgetting, a row per
    probe during training."""

    accuracies: pd.DataFrame = field(default_factory=lambda: empty(ACCURACIES))
    drift: pd.DataFrame = field(default_factory=lambda: empty(DRIFT))
    forgetting: pd.DataFrame = field(default_factory=lambda: empty(FORGETTING))

    def counted(self, which: str) -> "Retained":
        """What counts where the language model was asked more than once. which: of commands.COUNTED."""
        accuracies = counting.counted(self.accuracies, ("task", "metric"), "items", which)
        return Retained(accuracies, counting.counted(self.drift, (), "tokens", which), self.forgetting)


def tables(content: dict[str, Any], file: Path) -> dict[str, pd.DataFrame]:
    """Accuracies and drift of a retention.json; raises AnalysisError where it is not what this version writes."""
    rows: dict[str, dict[str, Any]] = {}
    drift: dict[str, dict[str, Any]] = {}
    for where, part, at in _parts(content, file):
        get = partial(checks.entry, part, where=str(file), remedy=AGAIN)
        added = {counting.EVALUATED: at}
        if part.get("drift", {}) != {}:
            drift[f"{where}drift"] = _drift(get) | added
            for metric in ("acc", "acc_norm"):
                told = {"data": part["drift"].get("texts")} | added
                rows[f"{where}drift.{metric}"] = _accuracy(get, ["drift", metric], QUESTIONS, told)
        for task in get(["benchmarks"], dict) if "benchmarks" in part else ():
            told = get(["benchmarks", task], dict) | added
            for metric in get(["benchmarks", task, "metrics"], dict):
                path = ["benchmarks", task, "metrics", metric]
                rows[where + ".".join(path)] = _accuracy(get, path, task, told)
    found = {}
    for name, own in (("accuracies", rows), ("drift", drift)):
        given = pd.DataFrame([*own.values()], index=[*own], columns=list(COLUMNS[name]), dtype=object)
        found[name] = checks.rounded(checks.table(given, COLUMNS[name], str(file), AGAIN), COLUMNS[name])
    check_outcomes(found["accuracies"], file, AGAIN)
    return found


def _parts(content: dict[str, Any], file: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    """What the run wrote itself, and what was added later: how errors call it, its content, and when it was added."""
    yield "", content, ""
    later = checks.entry(content, ["later"], list, str(file), AGAIN) if "later" in content else []
    for number, part in enumerate(later, start=1):
        where = f"{file}: later {number}"
        if not isinstance(part, dict):
            raise AnalysisError(f"{where}: expected a mapping, found {checks.shown(part)}; {AGAIN}")
        checks.entry(part, [counting.EVALUATED], dict, where, AGAIN)
        yield f"later {number}.", part, counting.at(part, where, AGAIN)


def check_outcomes(table: pd.DataFrame, file: Path, remedy: str) -> None:
    """Raises AnalysisError where an accuracy's outcomes are not those of its items, or where it is there twice."""
    told = [name for name in ("run", "task", "metric", counting.EVALUATED) if name in table]
    twice = table.duplicated(told)
    for number, row in enumerate(table.to_dict("records")):
        letters, name = row["outcomes"], ", ".join(filter(None, (row[each] for each in told)))
        if not set(letters) <= set(OUTCOMES) or len(letters) not in (0, row["items"]):
            expected = f"one of {OUTCOMES} for each of its {row['items']} items, or nothing"
            raise AnalysisError(f"{file}: {name}: outcomes: expected {expected}, found {checks.shown(letters)}; {remedy}")
        if twice.iloc[number]:
            raise AnalysisError(f"{file}: {name}: expected it once, found it twice; {remedy}")


def _accuracy(get: Any, path: Sequence[str], task: str, told: Mapping[str, Any]) -> dict[str, Any]:
    paired = get(path, dict)
    low, high = _ends(get, [*path, "interval"])
    row = {"task": task, "metric": path[-1], "low": low, "high": high, "outcomes": paired.get("outcomes", "")}
    row |= {name: told.get(name, "") for name in ("lm_eval", "data", counting.EVALUATED)}
    return row | {name: paired.get(name) for name in ACCURACIES if name not in row}


def _drift(get: Any) -> dict[str, Any]:
    drift = get(["drift"], dict)
    row = {name: drift.get(name) for name in ("tokens", "texts", "kl", "perplexity_ratio", "top1_agreement")}
    for name in ("kl", "perplexity_ratio", "top1_agreement"):
        row[f"{name}_low"], row[f"{name}_high"] = _ends(get, ["drift", f"{name}_interval"])
    perplexity = get(["drift", "perplexity"], dict)
    return row | {f"perplexity_{when}": perplexity.get(when) for when in ("before", "after")}


def _ends(get: Any, path: Sequence[str]) -> list[Any]:
    """An interval's; numbers that are not there are None."""
    return [*get(path, list), None, None][:2]


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
    """Pool the rows of one benchmark and metric, one of each run.

    The items are the same for all seeds, so that seeds are averaged item by item, and items are what is resampled: more seeds
    do not make more items. The bound is the mean of the seeds' own (Tango's), no less than that of their mean would be, since
    the mean of several has no larger standard error than they have on average. Where a run kept no outcomes (the drift probe's
    questions), the interval's ends are averaged in the same way. Raises AnalysisError where runs were asked different items.
    """
    if len(asked := set(zip(rows["items"], rows.data, strict=True))) > 1:
        task, metric = rows.iloc[0][["task", "metric"]]
        raise AnalysisError(
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
    """For each item 1 if it was gained, -1 if it was lost, otherwise 0, (items,)."""
    after, before = (np.array([letter in RIGHT[when] for letter in outcomes], dtype=float) for when in ("after", "before"))
    return after - before


def _mean(strata: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over tasks of the mean over items: each task counts the same."""
    return np.mean([stratum.mean() for stratum in strata])


def change(retained: Retained, benchmarks: Sequence[str]) -> np.ndarray:
    """A run's change of accuracy, mean over benchmarks, and its 95 % interval over items, (3,); nan where one was not asked.

    The interval is not narrower than Tango's would be had no item changed, z² / (items + z²) to each side: where few did, the
    bootstrap would claim a certainty that so many items cannot give.
    """
    rows = retained.accuracies[retained.accuracies.metric == HEADLINE].set_index("task")
    if not set(benchmarks) <= set(rows.index):
        return np.full(3, math.nan)
    found = Bootstrap().estimate(_mean, [changes(rows.outcomes[name]) for name in benchmarks])
    least = Z95**2 / (rows["items"][list(benchmarks)].sum() + Z95**2)
    return np.array([found.center, min(found.low, found.center - least), max(found.high, found.center + least)])


def over_training(tables: Sequence[pd.DataFrame]) -> Iterator[tuple[int, pd.DataFrame]]:
    """The steps at which all runs were probed, and at each the runs' rows of their forgetting tables."""
    common = set.intersection(*(set(table.env_steps) for table in tables))
    for step in sorted(common):
        yield step, pd.concat([table[table.env_steps == step] for table in tables])
