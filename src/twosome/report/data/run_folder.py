"""Read a run from its folder, which src/run.py wrote."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from twosome.errors import UserError, shown
from twosome.files import check_folder
from twosome.former import upgraded
from twosome.report.data import episodes, repeats, retention, validation
from twosome.report.data.reading import AGAIN, read_list, read_map, read_table
from twosome.report.data.repeats import EVALUATED
from twosome.report.data.retention import Retained
from twosome.report.data.run import BEGAN, BINS, EVALUATIONS, MISSING, Run
from twosome.report.data.validation import rounded

EVALUATE_AGAIN = "evaluate the run again"
METRICS, EVALUATION = "metrics.csv", "evaluation.json"
"""Files of which a run has at least one as soon as there is something to draw."""
FILES = {"config": "config.yaml", "choices": "choices.json", "provenance": "provenance.json"}


def has_results(folder: Path) -> bool:
    """Return whether a run's folder has something to draw, or says that the run is finished."""
    return any((folder / name).exists() for name in (METRICS, EVALUATION, "DONE"))


def read_folder(folder: Path) -> Run:
    """Read a run's folder. Raises UserError where it is not of this version's format."""
    check_folder(folder)
    contents = {name: read_map(folder / file) for name, file in FILES.items()}
    for group in ("env", "norm", "baseline", "model", "seed"):
        if group not in contents["config"]:
            raise UserError(f"{folder / 'config.yaml'}: expected an entry {group}; it is of another version, {AGAIN}")
    validation.check_origin(contents, {name: str(folder / file) for name, file in FILES.items()}, AGAIN)
    config = upgraded(contents["config"])
    spent: dict[str, Any] = {"steps": 0, "optimizer_steps": 0.0, "seconds": 0.0}
    bins, covered = retention.empty(BINS), 0
    if (folder / METRICS).exists():
        progress = episodes.read_progress(folder / METRICS)
        spent = episodes.totals(progress)
        if (folder / "episodes.csv").exists():
            envs = episodes.num_envs(config, str(folder / FILES["config"]))
            bins, covered = episodes.read_bins(folder / "episodes.csv", envs, progress)
    elif not (folder / EVALUATION).exists():
        raise UserError(f"{folder}: expected a {METRICS} or an {EVALUATION}, found neither; {AGAIN}")
    return Run(
        source=folder,
        config=config,
        choices=contents["choices"],
        provenance=contents["provenance"],
        finished=(folder / "DONE").exists(),
        **spent,
        covered=covered,
        binned=BEGAN,
        bins=bins,
        evaluations=_evaluations(folder),
        retained=_retained(folder),
    )


def _retained(folder: Path) -> Retained:
    """Read retention.json and retention.csv of a folder."""
    tables = {}
    if (folder / "retention.json").exists():
        tables = retention.tables(read_map(folder / "retention.json"), folder / "retention.json")
    if (folder / "retention.csv").exists():
        probes = read_table(folder / "retention.csv", retention.FORGETTING, retention.MISSING["forgetting"])
        tables["forgetting"] = rounded(probes, retention.FORGETTING)
    return Retained(**tables)


def _evaluations(folder: Path) -> pd.DataFrame:
    """Read the records of a folder's evaluation.json."""
    file = folder / "evaluation.json"
    records = read_list(file) if file.exists() else []
    rows = {}
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise UserError(f"{file}: record {number}: expected a mapping, found {shown(record)}; {EVALUATE_AGAIN}")
        if missing := [name for name in EVALUATIONS if name not in {"options", "optimum", EVALUATED, *record}]:
            raise UserError(f"{file}: record {number}: expected {missing[0]} in each record; {EVALUATE_AGAIN}")
        options = record.get("options")
        if options is not None:
            options = json.dumps(
                validation.entry(record, ["options"], dict, f"{file}: record {number}", EVALUATE_AGAIN), sort_keys=True
            )
        added = {
            "optimum": record.get("optimum"),
            EVALUATED: repeats.at(record, f"{file}: record {number}", EVALUATE_AGAIN),
        }
        rows[f"record {number}"] = record | {"options": options} | added
    given = pd.DataFrame([*rows.values()], index=[*rows], columns=list(EVALUATIONS), dtype=object)
    return rounded(validation.table(given, EVALUATIONS, str(file), EVALUATE_AGAIN, missing=MISSING), EVALUATIONS)
