"""What the language model of a run still knows: the tables of retention.json and retention.csv."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from twosome.errors import UserError, shown
from twosome.report.data import repeats, validation
from twosome.report.data.repeats import EVALUATED

QUESTIONS = "drift"
"""The task of the drift probe's own questions, among benchmarks."""
HEADLINE = "acc"
"""The metric that figures and claims are about: all four benchmarks have it, and POAD's numbers are of its size."""

ACCURACIES = {
    **{"task": str, "metric": str, "items": int},
    **dict.fromkeys(("before", "after", "difference", "low", "high"), float),
    **{"lost": int, "gained": int, "p_value": float, "no_loss_above": float, "lm_eval": str, "data": str, "outcomes": str},
    EVALUATED: str,
}
DRIFT = {
    "tokens": int,
    **{f"{name}{end}": float for name in ("kl", "perplexity_ratio", "top1_agreement") for end in ("", "_low", "_high")},
    **{"perplexity_before": float, "perplexity_after": float, "texts": str, EVALUATED: str},
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
    """Make a table without rows."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})


@dataclass(frozen=True, eq=False)
class Retained:
    """A run's tables: accuracies, a row per benchmark, metric and evaluation; drift, one per evaluation; forgetting, a row per
    probe during training."""

    accuracies: pd.DataFrame = field(default_factory=lambda: empty(ACCURACIES))
    drift: pd.DataFrame = field(default_factory=lambda: empty(DRIFT))
    forgetting: pd.DataFrame = field(default_factory=lambda: empty(FORGETTING))

    def counted(self, which: str) -> "Retained":
        """Select what counts where the language model was evaluated more than once. which: one of repeats.COUNTED."""
        accuracies = repeats.counted(self.accuracies, ("task", "metric"), "items", which)
        return Retained(accuracies, repeats.counted(self.drift, (), "tokens", which), self.forgetting)


def tables(content: dict[str, Any], file: Path) -> dict[str, pd.DataFrame]:
    """Make the tables accuracies and drift of a retention.json. Raises UserError where it is not what this version writes."""
    rows: dict[str, dict[str, Any]] = {}
    drift: dict[str, dict[str, Any]] = {}
    for where, part, at in _parts(content, file):
        get = partial(validation.entry, part, where=str(file), remedy=AGAIN)
        added = {EVALUATED: at}
        if part.get("drift", {}) != {}:
            drift[f"{where}drift"] = _drift(get) | added
            for metric in ("acc", "acc_norm"):
                origin = {"data": part["drift"].get("texts")} | added
                rows[f"{where}drift.{metric}"] = _accuracy(get, ["drift", metric], QUESTIONS, origin)
        for task in get(["benchmarks"], dict) if "benchmarks" in part else ():
            origin = get(["benchmarks", task], dict) | added
            for metric in get(["benchmarks", task, "metrics"], dict):
                path = ["benchmarks", task, "metrics", metric]
                rows[where + ".".join(path)] = _accuracy(get, path, task, origin)
    found = {}
    for name, own in (("accuracies", rows), ("drift", drift)):
        given = pd.DataFrame([*own.values()], index=[*own], columns=list(COLUMNS[name]), dtype=object)
        found[name] = validation.rounded(validation.table(given, COLUMNS[name], str(file), AGAIN), COLUMNS[name])
    check_outcomes(found["accuracies"], file, AGAIN)
    return found


def _parts(content: dict[str, Any], file: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield what the run wrote itself, then what was added later: how errors call it, its content, and when it was added."""
    yield "", content, ""
    later = validation.entry(content, ["later"], list, str(file), AGAIN) if "later" in content else []
    for number, part in enumerate(later, start=1):
        where = f"{file}: later {number}"
        if not isinstance(part, dict):
            raise UserError(f"{where}: expected a mapping, found {shown(part)}; {AGAIN}")
        validation.entry(part, [EVALUATED], dict, where, AGAIN)
        yield f"later {number}.", part, repeats.at(part, where, AGAIN)


def check_outcomes(table: pd.DataFrame, file: Path, remedy: str) -> None:
    """Raise UserError where an accuracy's outcomes are not those of its items, or where it is there twice."""
    key = [name for name in ("run", "task", "metric", EVALUATED) if name in table]
    twice = table.duplicated(key)
    for number, row in enumerate(table.to_dict("records")):
        letters, name = row["outcomes"], ", ".join(filter(None, (row[each] for each in key)))
        if not set(letters) <= set(OUTCOMES) or len(letters) not in (0, row["items"]):
            expected = f"one of {OUTCOMES} for each of its {row['items']} items, or nothing"
            raise UserError(f"{file}: {name}: outcomes: expected {expected}, found {shown(letters)}; {remedy}")
        if twice.iloc[number]:
            raise UserError(f"{file}: {name}: expected it once, found it twice; {remedy}")


def _accuracy(get: Any, path: Sequence[str], task: str, origin: Mapping[str, Any]) -> dict[str, Any]:
    paired = get(path, dict)
    low, high = _ends(get, [*path, "interval"])
    row = {"task": task, "metric": path[-1], "low": low, "high": high, "outcomes": paired.get("outcomes", "")}
    row |= {name: origin.get(name, "") for name in ("lm_eval", "data", EVALUATED)}
    return row | {name: paired.get(name) for name in ACCURACIES if name not in row}


def _drift(get: Any) -> dict[str, Any]:
    drift = get(["drift"], dict)
    row = {name: drift.get(name) for name in ("tokens", "texts", "kl", "perplexity_ratio", "top1_agreement")}
    for name in ("kl", "perplexity_ratio", "top1_agreement"):
        row[f"{name}_low"], row[f"{name}_high"] = _ends(get, ["drift", f"{name}_interval"])
    perplexity = get(["drift", "perplexity"], dict)
    return row | {f"perplexity_{when}": perplexity.get(when) for when in ("before", "after")}


def _ends(get: Any, path: Sequence[str]) -> list[Any]:
    """Return the two ends of an interval; a missing number is None."""
    return [*get(path, list), None, None][:2]
