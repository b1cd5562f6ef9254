"""Runs condensed to a few tables: small enough to commit, and all that figures and tables are made of."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import checks
import retained
from commands import AnalysisError
from counting import EVALUATED
from plain import parse_json
from retained import Retained
from runs import BINS, EVALUATIONS, MISSING, Run, read_csv
from writing import write_csv

FORMAT = 1
FILES = ("runs.csv", "curves.csv", "evaluations.csv")
RETAINED = retained.COLUMNS
"""Further tables, of what language models still know; each is there if it has a row."""
TABLES = (*FILES, *(f"{name}.csv" for name in RETAINED))
TOLD = ("task", "method", "seed", "model", "steps", "seconds", "finished")  # of a run, besides what it is read back from
AGAIN = "publish the runs again with analysis/publish.py"
DETAILS = ("config", "choices", "provenance")  # as JSON

RUNS = {
    **{"format": int, "run": str, "task": str, "method": str, "seed": int, "model": str},
    **{"steps": int, "seconds": float, "finished": bool},
    **{"model_checksum": str, "git_commit": str, "started": str, "ended": str, "config": str, "choices": str, "provenance": str},
}


def check_own(folder: Path) -> None:
    """Raises AnalysisError where a folder holds anything else than tables as write() makes them."""
    others = sorted({path.name for path in folder.iterdir()} - set(TABLES)) if folder.is_dir() else []
    if others:
        raise AnalysisError(
            f"--out {folder}: holds {others[0]}{' and other things' if others[1:] else ''}, which publish.py did not write; "
            f"expected a folder that is new, empty, or holds only {', '.join(TABLES)}; name another, as {folder / 'my_runs'}"
        )


def write(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write the tables in place of any that the folder holds; returns their paths.

    runs.csv has a row per run: what people look for, then its configuration, choices and provenance as JSON. curves.csv has a
    row per run and bin, evaluations.csv one per run and evaluation; RETAINED names the others. Their column EVALUATED is there
    where anything was added to a run.
    """
    rows = [{"format": FORMAT, "run": run.name, **_told(run), **_details(run)} for run in runs]
    tables = (
        pd.DataFrame(rows, columns=list(RUNS)),
        _stacked(runs, [run.bins for run in runs], BINS),
        _stacked(runs, [run.evaluations for run in runs], EVALUATIONS),
    )
    further = {f"{name}.csv": _stacked(runs, [getattr(run.retained, name) for run in runs], RETAINED[name]) for name in RETAINED}
    named = dict(zip(FILES, tables, strict=True)) | {name: table for name, table in further.items() if len(table)}
    paths = [write_csv(folder / name, table) for name, table in named.items()]
    for name in set(TABLES) - set(named):
        (folder / name).unlink(missing_ok=True)  # of other runs
    return paths


def _told(run: Run) -> dict[str, Any]:
    origin = {name: run.provenance.get(name) or "" for name in ("model_checksum", "git_commit", "started")}
    return {name: getattr(run, name) for name in TOLD} | origin | {"ended": run.provenance.get("finished") or ""}


def _details(run: Run) -> dict[str, str]:
    return {name: json.dumps(getattr(run, name), separators=(",", ":")) for name in DETAILS}


def _stacked(runs: Sequence[Run], tables: Sequence[pd.DataFrame], columns: dict[str, type]) -> pd.DataFrame:
    """The runs' tables below each other, with the run's name in front."""
    named = [table.assign(run=run.name) for run, table in zip(runs, tables, strict=True) if len(table)]
    stacked = pd.concat(named)[["run", *columns]] if named else pd.DataFrame(columns=["run", *columns])
    return stacked if EVALUATED not in stacked or stacked[EVALUATED].any() else stacked.drop(columns=EVALUATED)


def read(folder: Path) -> list[Run]:
    """The runs of a folder of published tables; raises AnalysisError where they are not of this format."""
    file = folder / FILES[0]
    rows = _table(file, RUNS)
    if strange := sorted(set(rows["format"]) - {FORMAT}):
        raise AnalysisError(f"{file}: expected format {FORMAT}, found {strange[0]}; {AGAIN}")
    curves = _table(folder / FILES[1], {"run": str, **BINS})
    evaluations = _table(folder / FILES[2], {"run": str, **EVALUATIONS}, MISSING)
    further = {
        name: _table(folder / f"{name}.csv", {"run": str, **columns}, retained.MISSING.get(name, ()))
        for name, columns in RETAINED.items()
        if (folder / f"{name}.csv").exists()
    }
    if "accuracies" in further:
        retained.check_outcomes(further["accuracies"], folder / "accuracies.csv", AGAIN)
    runs = []
    for row in rows.to_dict("records"):
        where = {name: f"{file}: {row['run']}: {name}" for name in DETAILS}
        config, choices, provenance = (_content(row[name], where[name]) for name in DETAILS)
        checks.origin({"config": config, "choices": choices, "provenance": provenance}, where, AGAIN)
        bins, records = _of_run(curves, row["run"]), _of_run(evaluations, row["run"])
        kept = Retained(**{name: _of_run(table, row["run"]) for name, table in further.items()})
        progress = (bool(row["finished"]), int(row["steps"]), float(row["seconds"]))
        runs.append(Run(folder, config, choices, provenance, *progress, bins, records, kept))
    return runs


def _content(text: str, where: str) -> dict[str, Any]:
    """A configuration, choices or provenance."""
    try:
        content = parse_json(text)
        checks.readable(content)
        if not isinstance(content, dict):
            raise ValueError("it holds no mapping")
        return content
    except (ValueError, RecursionError) as error:
        raise AnalysisError(f"{where}: expected JSON ({error}); {AGAIN}") from None


def _of_run(table: pd.DataFrame, run: str) -> pd.DataFrame:
    return table[table.run == run].drop(columns="run").reset_index(drop=True)


def _table(file: Path, columns: dict[str, type], missing: Collection[str] = ()) -> pd.DataFrame:
    """One of the tables, with columns of the right types. missing: those that may lack a number."""
    given = read_csv(file, AGAIN, dtype=str, keep_default_na=False)
    if EVALUATED not in given:  # nothing was added to the runs
        given[EVALUATED] = ""
    if absent := [name for name in columns if name not in given]:
        raise AnalysisError(f"{file}: expected a column {absent[0]}; {AGAIN}")
    return checks.table(given, columns, str(file), AGAIN, text=True, missing=missing)
