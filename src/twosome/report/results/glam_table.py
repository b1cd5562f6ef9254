"""GLAM's tests of generalisation, by src/evaluate.py with suite=glam: success beside the paper's."""

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from twosome.report.data import repeats
from twosome.report.data.collection import Grouped
from twosome.report.data.run import Run
from twosome.report.output import style
from twosome.report.output.tables import NONE, Table, number
from twosome.report.paper import Paper
from twosome.report.statistics import glam

OWN = "its own setting"
PLAYERS = {"random": "random", "before": "untrained", "after": "trained"}
"""Who plays: its name in records, and its column."""
Z99 = 2.576
NOTES = (
    "Sampled actions; in brackets half of the 99 % interval over episodes (2.576 standard errors), which says nothing of another "
    "training. Several seeds: all their episodes together; random play and the untrained model count once.",
)


def rows(tasks: Grouped, paper: Paper) -> pd.DataFrame:
    """Return a row for each trained-on task, method, test and player that runs have records of; empty without any."""
    part, found = paper.content["glam"], []
    for task, methods in tasks.items():
        for method, runs in methods.items():
            tested = [run for run in runs if run.config["env"]["id"] == part["env"] and _tests_of(run, part)]
            for name in dict.fromkeys(name for run in tested for name in _tests_of(run, part)):
                for when in PLAYERS:
                    records = [_tests_of(run, part)[name][when] for run in tested if when in _tests_of(run, part).get(name, {})]
                    if records:
                        head = {"trained_on": task, "method": method, "test": name, "when": when, "seeds": len(records)}
                        found.append(head | _pooled(records, when) | {"paper": _paper(part, name, tested[0], when)})
    return pd.DataFrame(found)


def _tests_of(run: Run, part: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the run's sampled records by test and player, its own setting first; {} if it was not tested."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, setting in {OWN: {}, **part["tests"]}.items():
        by_player = {when: glam.record(run, setting, when) for when in PLAYERS}
        if records := {when: record for when, record in by_player.items() if record}:
            found[name] = records
    return found if set(found) - {OWN} else {}


def _pooled(records: Sequence[Mapping[str, Any]], when: str) -> dict[str, float]:
    """Return success over the episodes of all records, and half of its 99 % interval."""
    counted = list(records) if when == "after" else list({_played(record): record for record in records}.values())
    episodes = sum(int(record["episodes"]) for record in counted)
    rate = sum(record["success_rate"] * record["episodes"] for record in counted) / episodes
    return {"episodes": episodes, "rate": rate, "half_99": Z99 * math.sqrt(rate * (1 - rate) / episodes)}


def _played(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what is equal in records of the same episodes, whenever they were added. nan, which equals nothing, is None."""
    return tuple(None if value != value else value for name, value in record.items() if name != repeats.EVALUATED)


def _paper(part: Mapping[str, Any], name: str, run: Run, when: str) -> float:
    """Return the paper's number for a test and who plays it; nan where the paper has none of such runs.

    run: one of those of a method and task.
    """
    options = run.config["env"].get("kwargs", {})
    if any(options.get(option, value) != value for option, value in part["options"].items()):
        return math.nan
    if name == OWN:
        numbers = part["training"].get(run.task)
    else:
        test = part["tests"][name]
        numbers = test.get("paper") if test.get("trained_on", part["trained_on"]) == run.task else None
    by_player = dict(zip(part["players"], numbers or [], strict=False))
    number = by_player.get(when, by_player.get(f"{run.method} {when}"))
    return math.nan if number is None else float(number)


def table(data: pd.DataFrame, paper: Paper, options: argparse.Namespace) -> Table:
    """Make the table. data: of `rows`."""
    columns = ["trained on", "agent", "test", *PLAYERS.values(), *(f"paper, {name}" for name in PLAYERS.values())]
    shown = []
    for (task, method, test), group in data.groupby(["trained_on", "method", "test"], sort=False):
        by = {row["when"]: row for row in group.to_dict("records")}
        ours = [f"{number(by[when]['rate'])} (± {number(by[when]['half_99'])})" if when in by else NONE for when in PLAYERS]
        papers = [by[when]["paper"] if when in by else math.nan for when in PLAYERS]
        theirs = [NONE if math.isnan(value) else number(value) for value in papers]
        shown.append([style.title(str(task)), style.label(str(method)), str(test), *ours, *theirs])
    source = paper.legend("glam").replace(paper.model, paper.content["glam"]["model"])
    legend = (
        f"Paper: {source}. Its numbers are of GLAM, DRRN and NPAE, trained on the mixture, for French on go to, and stand beside "
        "runs of the same method, task, room and actions."
    )
    notes = [*NOTES, legend, *repeats.notes(options.evaluations)]
    return Table("GLAM's tests of generalisation", columns, shown, notes, left=3, data=data)
