"""Select the record that counts where a run was evaluated more than once.

What a run wrote itself is its own. What src/evaluate.py added to the finished run stands beside it and says when that was: the
column EVALUATED, empty in the run's own records, and in those from before there was such a column.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from twosome.errors import UserError, shown
from twosome.report.data import validation

EVALUATED = "evaluated"
COUNTED = ("own", "latest")
"""Values of --evaluations. own: the run's own record; without one, the record with the most episodes or items, of equal ones the
latest. latest: the latest record, whoever made it."""


def at(record: Mapping[str, Any], where: str, remedy: str) -> str:
    """Return when a record was added to a run; empty where the run itself wrote it. Raises UserError without a time."""
    if EVALUATED not in record:
        return ""
    time = validation.entry(record, [EVALUATED], dict, where, remedy).get("at")
    if not validation.is_name(time) or not time:
        raise UserError(f"{where}: {EVALUATED}.at: expected a time, found {shown(time)}; {remedy}")
    return str(time)


def own(records: pd.DataFrame) -> pd.DataFrame:
    """Select the records that the run itself wrote."""
    return records[records[EVALUATED] == ""]


def counted(records: pd.DataFrame, key: Sequence[str], size: str, which: str) -> pd.DataFrame:
    """Select one record for each value of the columns key, in the order in which the values first appear.

    size: the column with the number of episodes or items. which: one of COUNTED.
    """
    best: dict[tuple[Any, ...], tuple[tuple[Any, ...], int]] = {}
    for position, row in enumerate(records.to_dict("records")):
        time = row[EVALUATED]
        rank = (time,) if which == "latest" else (not time, row[size] if time else 0, time)
        value = tuple(row[name] for name in key)
        if value not in best or rank >= best[value][0]:
            best[value] = rank, position
    return records.iloc[[position for _, position in best.values()]].reset_index(drop=True)


def together(records: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Join the records of a run and those that were added to another copy of it; each once."""
    added = others[others[EVALUATED] != ""]
    return pd.concat([records, added], ignore_index=True).drop_duplicates(ignore_index=True) if len(added) else records


def notes(which: str) -> list[str]:
    """Return a table's note where --evaluations is not the default."""
    if which == COUNTED[0]:
        return []
    return ["Where a run was evaluated more than once, its latest evaluation counts (--evaluations latest)."]
