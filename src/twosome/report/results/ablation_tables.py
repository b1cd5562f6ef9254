"""The table of an ablation: what was found, then a row for each task, panel, series and value."""

import argparse
from collections.abc import Sequence
from typing import Any

import pandas as pd

from twosome.report.data import repeats
from twosome.report.output import style
from twosome.report.output.tables import NONE, Table, bracketed
from twosome.report.statistics.ablations import MIN_SEEDS, Ablation

COLUMNS = ("task", "measure", "runs", "value", "seeds", "reached", "difference")


def table(ablation: Ablation, rows: pd.DataFrame, remarks: Sequence[str], options: argparse.Namespace) -> Table:
    """Make the table of an ablation's rows. remarks: notes on the runs."""
    shown = [
        [
            *(style.title(row["task"]), row["panel"], row["series"], row["value"], f"{row['seeds']}"),
            bracketed([row["center"], row["low"], row["high"]], 3),
            "reference" if row["value"] == ablation.reference else _difference(row),
        ]
        for row in rows.to_dict("records")
    ]
    lead = [ablation.question.rstrip("?") + "?", *findings(ablation, rows)]
    return Table(ablation.title, COLUMNS, shown, [*_notes(ablation, options), *remarks], 4, rows, lead)


def findings(ablation: Ablation, rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each task, which says what holds."""
    return [f"{style.title(task)}: {finding(ablation, rows, task)}" for task in dict.fromkeys(rows.task)]


def finding(ablation: Ablation, table: pd.DataFrame, task: str) -> str:
    """Say in one sentence what holds on a task. table: of ablations.rows()."""
    parts = []
    for (panel, series), own in table[table.task == task].groupby(["panel", "series"], sort=False):
        alone = table[(table.task == task) & (table.panel == panel)].series.nunique() == 1
        parts.append(f"{panel if alone else f'{panel}, {series}'}: {_compared(ablation.reference, own)}")
    return "; ".join(parts) + "."


def _compared(reference: str, own: pd.DataFrame) -> str:
    """Compare the values of one series with the reference."""
    others = own[own.value != reference]
    if len(others) == len(own):
        return f"there is no run of {reference} to compare with"
    few = others[others.difference_low.isna()]
    known = others[others.difference_low.notna()]
    clear = known[(known.difference_low > 0) | (known.difference_high < 0)]
    unclear = known[~known.index.isin(clear.index)]
    said = [_clear(row, reference) for row in clear.to_dict("records")]
    if len(unclear):
        said.append(f"no difference from {reference} can be shown for {_listed(unclear.value.tolist())}")
    if len(few):
        said.append(f"too little data to compare {_listed(few.value.tolist())} with {reference}")
    return ", ".join(said) if said else f"only {reference} was run"


def _clear(row: dict[Any, Any], reference: str) -> str:
    """Say by how much a value is above or below the reference."""
    ends = sorted((abs(row["difference_low"]), abs(row["difference_high"])))
    side = "above" if row["difference"] > 0 else "below"
    return f"{row['value']} is {abs(row['difference']):.3f} [{ends[0]:.3f}, {ends[1]:.3f}] {side} {reference}"


def _listed(names: Sequence[str]) -> str:
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


def _difference(row: dict[Any, Any]) -> str:
    if pd.isna(row["difference"]):
        return NONE
    interval = "" if pd.isna(row["difference_low"]) else f" [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
    return f"{row['difference']:+.3f}{interval}"


def _notes(ablation: Ablation, options: argparse.Namespace) -> list[str]:
    over = (
        "interquartile mean over seeds with a 95 % bootstrap interval (of 3 seeds the mean and the range)"
        if options.stat == "iqm"
        else "mean over seeds ± one population standard deviation"
    )
    return [
        f"Asked by: {ablation.source}.",
        f"Reached: {over}. What is measured before training is the same for all seeds: its interval is that of the episodes.",
        f"Difference: from {ablation.reference}, of interquartile means, with a 95 % bootstrap interval over seeds.",
        f"A sentence says that a value is above or below where this interval excludes 0, if both have {MIN_SEEDS} seeds.",
        "Intervals are not corrected for the number of comparisons.",
        "Returns and success after training are those of the sampled evaluation of the final policy.",
        *repeats.notes(options.evaluations),
    ]
