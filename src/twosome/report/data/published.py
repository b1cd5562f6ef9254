"""Write runs as a few small tables, and read them back: all that figures and tables are made of."""

import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from twosome.errors import UserError
from twosome.files import check_folder
from twosome.former import upgraded
from twosome.plain import parse_json
from twosome.report.data import retention, validation
from twosome.report.data.reading import read_csv
from twosome.report.data.repeats import EVALUATED
from twosome.report.data.retention import Retained
from twosome.report.data.run import BEGAN, BINS, ENDED, EVALUATIONS, MISSING, PROGRESS, Run
from twosome.report.output.files import PUBLISHED, claim, write_csv

FORMAT = 2
BY_END = 1
"""The format before it, in which episodes are binned by their end and nothing says where optimiser steps and seconds went."""
FILES = ("runs.csv", "curves.csv", "evaluations.csv")
RETAINED = retention.COLUMNS
"""Further tables, of what language models still know; each is there if it has a row."""
TABLES = (*FILES, *(f"{name}.csv" for name in RETAINED))
WATCH = "watch"
"""A folder beside the tables, or in a run's folder, with pages of src/watch.py: <task>.html."""
FIELDS = ("task", "method", "seed", "model", "steps", "optimizer_steps", "seconds", "covered", "binned", "finished")
"""Of a run, for people to look for."""
AGAIN = "publish the runs again with analysis/publish.py"
DETAILS = ("config", "choices", "provenance")  # as JSON

RUNS = {
    **{"format": int, "run": str, "task": str, "method": str, "seed": int, "model": str},
    **{"steps": int, "optimizer_steps": float, "seconds": float, "covered": int, "binned": str, "finished": bool},
    **{"model_checksum": str, "git_commit": str, "started": str, "ended": str, "config": str, "choices": str, "provenance": str},
}
LATER = ("optimizer_steps", "covered", "binned")
"""Columns of runs.csv that format 1 lacks; so it does PROGRESS in curves.csv."""


def write(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write the tables in place of any that the folder holds; return their paths.

    runs.csv has a row per run: what people look for, then its configuration, choices and provenance as JSON. curves.csv has a
    row per run and bin, evaluations.csv one per run and evaluation; RETAINED names the others. Their column EVALUATED is there
    where anything was added to a run.
    """
    rows = [{"format": FORMAT, "run": run.name, **_fields(run), **_details(run)} for run in runs]
    tables = (
        pd.DataFrame(rows, columns=list(RUNS)),
        _stacked(runs, [run.bins for run in runs], BINS),
        _stacked(runs, [run.evaluations for run in runs], EVALUATIONS),
    )
    further = {f"{name}.csv": _stacked(runs, [getattr(run.retained, name) for run in runs], RETAINED[name]) for name in RETAINED}
    named = dict(zip(FILES, tables, strict=True)) | {name: table for name, table in further.items() if len(table)}
    claim(folder, PUBLISHED)
    paths = [write_csv(folder / name, table) for name, table in named.items()]
    for name in set(TABLES) - set(named):
        (folder / name).unlink(missing_ok=True)  # of other runs
    return paths


def _fields(run: Run) -> dict[str, Any]:
    origin = {name: run.provenance.get(name) or "" for name in ("model_checksum", "git_commit", "started")}
    return {name: getattr(run, name) for name in FIELDS} | origin | {"ended": run.provenance.get("finished") or ""}


def _details(run: Run) -> dict[str, str]:
    return {name: json.dumps(getattr(run, name), separators=(",", ":")) for name in DETAILS}


def _stacked(runs: Sequence[Run], tables: Sequence[pd.DataFrame], columns: dict[str, type]) -> pd.DataFrame:
    """Stack the runs' tables, with the run's name in front."""
    named = [table.assign(run=run.name) for run, table in zip(runs, tables, strict=True) if len(table)]
    stacked = pd.concat(named)[["run", *columns]] if named else pd.DataFrame(columns=["run", *columns])
    return stacked if EVALUATED not in stacked or stacked[EVALUATED].any() else stacked.drop(columns=EVALUATED)


def read(folder: Path) -> list[Run]:
    """Read the runs of a folder of published tables. Raises UserError where they are not of this format."""
    check_folder(folder)
    file = folder / FILES[0]
    rows, curves = _runs_and_curves(file, folder / FILES[1])
    evaluations = _table(folder / FILES[2], {"run": str, **EVALUATIONS}, MISSING)
    further = {
        name: _table(folder / f"{name}.csv", {"run": str, **columns}, retention.MISSING.get(name, ()))
        for name, columns in RETAINED.items()
        if (folder / f"{name}.csv").exists()
    }
    if "accuracies" in further:
        retention.check_outcomes(further["accuracies"], folder / "accuracies.csv", AGAIN)
    runs = []
    for row in rows.to_dict("records"):
        where = {name: f"{file}: {row['run']}: {name}" for name in DETAILS}
        config, choices, provenance = (_content(row[name], where[name]) for name in DETAILS)
        validation.check_origin({"config": config, "choices": choices, "provenance": provenance}, where, AGAIN)
        bins, records = _of_run(curves, row["run"]), _of_run(evaluations, row["run"])
        kept = Retained(**{name: _of_run(table, row["run"]) for name, table in further.items()})
        progress = {name: row[name] for name in ("finished", "steps", "optimizer_steps", "seconds", "covered", "binned")}
        tables: dict[str, Any] = {"bins": bins, "evaluations": records, "retained": kept}
        runs.append(Run(folder, upgraded(config), choices, provenance, **progress, **tables))
    return runs


def _runs_and_curves(file: Path, curves: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read runs.csv and curves.csv, of this format or the one before."""
    formats = sorted(set(_table(file, {"format": int})["format"]))
    if strange := [number for number in formats if number not in (BY_END, FORMAT)] or formats[1:]:
        raise UserError(f"{file}: expected format {FORMAT}, or {BY_END}, in all rows, found {strange[0]}; {AGAIN}")
    if formats == [BY_END]:
        rows = _table(file, {name: kind for name, kind in RUNS.items() if name not in LATER})
        bins = _table(curves, {"run": str, **{name: kind for name, kind in BINS.items() if name not in PROGRESS}})
        rows = rows.assign(optimizer_steps=math.nan, covered=rows.steps, binned=ENDED)
        return rows, bins.assign(**dict.fromkeys(PROGRESS, math.nan))
    rows = _table(file, RUNS, ("optimizer_steps",))
    wrong = rows[~rows.binned.isin((BEGAN, ENDED)) | (rows.covered > rows.steps)]
    if len(wrong):
        found = f"{wrong.binned.iloc[0]!r} and {wrong.covered.iloc[0]} of {wrong.steps.iloc[0]} steps"
        raise UserError(f"{file}: {wrong.run.iloc[0]}: expected {BEGAN} or {ENDED} as binned, and at most all steps covered, "
                        f"found {found}; {AGAIN}")  # fmt: skip
    return rows, _table(curves, {"run": str, **BINS}, PROGRESS, zero=("episodes",))


def _content(text: str, where: str) -> dict[str, Any]:
    """Parse a configuration, choices or provenance."""
    try:
        content = parse_json(text)
        validation.check_encodable(content)
        if not isinstance(content, dict):
            raise ValueError("it holds no mapping")
        return content
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: expected JSON ({error}); {AGAIN}") from None


def _of_run(table: pd.DataFrame, run: str) -> pd.DataFrame:
    return table[table.run == run].drop(columns="run").reset_index(drop=True)


def _table(file: Path, columns: dict[str, type], missing: Collection[str] = (), zero: Collection[str] = ()) -> pd.DataFrame:
    """Read one of the tables, with columns of the right types. missing: those that may lack a number. zero: that may be 0."""
    given = read_csv(file, AGAIN, dtype=str, keep_default_na=False)
    if EVALUATED not in given:  # nothing was added to the runs
        given[EVALUATED] = ""
    if absent := [name for name in columns if name not in given]:
        raise UserError(f"{file}: expected a column {absent[0]}; {AGAIN}")
    return validation.table(given, columns, str(file), AGAIN, text=True, missing=missing, zero=zero)
