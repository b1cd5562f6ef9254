"""Write the results of suite=interference into a run's folder, and print them."""

import hashlib
import math
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from twosome.algorithms.algorithm import Metrics
from twosome.evaluation.interference import summary
from twosome.evaluation.interference.figure import draw
from twosome.evaluation.records import LATER, Record, same
from twosome.files import write_atomic
from twosome.storage.folder import RunFolder
from twosome.terminal import Console

FILE, TABLE, FIGURE = "interference.json", "interference.csv", "interference.png"
FILES = {FILE: "the numbers above", TABLE: "every situation and action", FIGURE: "a picture of them"}


def content(rows: pd.DataFrame, csv: str, metrics: Metrics, settings: Record) -> Record:
    """Return what interference.json holds besides its stamp. csv: the rows as in interference.csv."""
    measures = summary.measured(rows)
    return {
        "settings": settings,
        "situations": summary.situations(rows),
        "update": {name: value if math.isfinite(value) else None for name, value in metrics.items()},
        "changes": {measure: summary.by_kind(rows, measure) for measure in measures},
        "carried_over": {measure: summary.carried_over(rows, measure) for measure in measures},
        "table_sha256": hashlib.sha256(csv.encode()).hexdigest(),
    }


def write(folder: RunFolder, rows: pd.DataFrame, metrics: Metrics, settings: Record, evaluated: Record) -> Record:
    """Write the table, the figure and, last, the summary; return the summary.

    Each replaces that of an earlier probe atomically, when all three are complete. An equal result keeps its stamp.
    evaluated: the stamp of this one (`records.stamp`).
    """
    csv = rows.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    found, before = content(rows, csv, metrics, settings), folder.read_json(FILE, default={})
    found[LATER] = before[LATER] if LATER in before and same(before, found) else evaluated
    picture = draw(rows, summary.measured(rows)[0], title(settings))
    write_atomic(folder.path / TABLE, csv)
    write_atomic(folder.path / FIGURE, picture)
    folder.write_json(FILE, found)
    return found


def title(settings: Record) -> str:
    """Return the title of the figure."""
    task = str(settings["task"] or settings["env"]).replace("_", " ")
    wording = f" ({settings['prompt']})" if settings["prompt"] not in (None, "default") else ""
    return f"One update {settings['when']} training: {task}{wording}, seed {settings['seed']}"


def print_interference(found: Record) -> None:
    """Print the changes by kind of action as a table."""
    measure, by_kind = next(iter(found["changes"].items()))
    table = Table(title=escape(title(found["settings"])), title_justify="left", title_style="bold")
    table.add_column("action", overflow="fold")
    for column in ("in the\nupdate", "change", "outside", "change", "best\npath", "its\naction"):
        table.add_column(column, justify="right", no_wrap=True)
    for kind, entry in by_kind.items():
        cells = [_cells(entry[name]) for name in summary.PLACES]
        table.add_row(escape(kind), *cells[0], *cells[1], cells[2][1], cells[3][1])
    Console().print(table)
    numbers, share = found["situations"], found["carried_over"][measure]
    Console(highlight=False).print(
        f"change: of log {'P(words)' if measure == 'log_prob' else 'policy'}, mean over the situations, of which "
        f"{numbers['in_update']} are in the update and {numbers['outside']} are not. best path: mean over its "
        f"{numbers['on_best_path']} situations; its action: over those in which the best play takes the action. Mean absolute "
        f"change of all actions outside over that in the update: {'no value' if share is None else f'{share:.2f}'}."
    )


def _cells(part: dict[str, Any]) -> tuple[str, str]:
    """Return the number of situations and the mean change."""
    return f"{part['situations']:,}", "" if part["mean"] is None else f"{part['mean']:+.3f}"
