"""What the rows of suite=interference amount to, by kind of action."""

import math
from typing import Any

import pandas as pd

MEASURES = ("log_prob", "log_policy")
PLACES = ("in_update", "outside", "on_best_path", "best_action")
"""The parts of the situations over which means are taken: in the update, not in it, on the path of the best play (in the update
or not), and those of the path in which the best play takes the action."""


def place(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of one of PLACES."""
    return rows[~rows.in_update] if name == "outside" else rows[rows[name]]


def changes(rows: pd.DataFrame, measure: str) -> pd.Series:
    """Return each row's change of one of MEASURES in the update."""
    return rows[f"{measure}_after"] - rows[f"{measure}_before"]


def measured(rows: pd.DataFrame) -> list[str]:
    """Return those of MEASURES that the rows have; log_prob exists only if a language model learns."""
    return [name for name in MEASURES if rows[f"{name}_before"].notna().all()]


def kinds(rows: pd.DataFrame) -> list[str]:
    """Return the kinds of action in the order of their numbers."""
    return sorted(rows.kind.unique(), key=lambda kind: int(kind.split()[0]))


def by_kind(rows: pd.DataFrame, measure: str) -> dict[str, dict[str, Any]]:
    """Return, for each kind of action, the number of situations and the mean change in each of PLACES, and what carries over.

    carried_over: the mean change outside the update over that in it. A mean or a ratio without a value is None.
    """
    found = {}
    for kind in kinds(rows):
        own = rows[rows.kind == kind]
        parts = {name: changes(place(own, name), measure) for name in PLACES}
        entry = {name: {"situations": len(part), "mean": _number(part.mean())} for name, part in parts.items()}
        found[kind] = entry | {"carried_over": ratio(parts["outside"].mean(), parts["in_update"].mean())}
    return found


def carried_over(rows: pd.DataFrame, measure: str) -> float | None:
    """Return the mean absolute change of all actions outside the update over that in it; None without a value."""
    return ratio(*(changes(place(rows, name), measure).abs().mean() for name in ("outside", "in_update")))


def ratio(outside: float, inside: float) -> float | None:
    """Return outside over inside; None if inside is 0 or either is nan."""
    return _number(outside / inside) if inside else None


def situations(rows: pd.DataFrame) -> dict[str, int]:
    """Return the numbers of situations in the update, not in it, and on the path of the best play."""
    return {name: place(rows, name).situation.nunique() for name in PLACES[:3]}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
