"""Success on tasks that were not trained on: the rows, and the tables generalization and transfer."""

import argparse
import math
from typing import Any

import pandas as pd

from twosome.errors import UserError
from twosome.report.data import repeats
from twosome.report.data.collection import Grouped
from twosome.report.messages import warn
from twosome.report.output import style
from twosome.report.output.tables import NONE, Table, bracketed, number
from twosome.report.paper import Paper
from twosome.report.statistics import transfer

COLUMNS = (
    *("trained on", "tested on", "runs", "random", "untrained", "trained", "trained, by seed", "gain, by seed"),
    *("paper, untrained", "paper, trained"),
)

NOTES = (
    "In brackets: 95 % Wilson intervals. They are those of the episodes of these very agents, and ignore that agents differ from "
    "seed to seed: they say nothing of what another training would give. For that see the rates and gains by seed.",
    "Random play and the untrained model are the same for all seeds and play the same episodes: these count once.",
    "Gain: the trained agent's rate less the untrained model's, mean over seeds, and from the lowest to the highest.",
)


def rows(tasks: Grouped, paper: Paper, options: argparse.Namespace) -> pd.DataFrame:
    """Make the rows of transfer.pooled for each trained-on task, with the paper's rates. Raises UserError without any."""
    tables, left_out = [], []
    for task, methods in tasks.items():
        agents = methods.get(options.method, [])
        tested = [run for run in agents if not transfer.played(run, options.mode).own.all()]
        if agents and not tested:
            left_out.append(task)
        elif agents:
            known = paper.unseen(task, options.method) if options.mode == "sampled" else {}
            table = transfer.pooled(agents, options.mode).assign(trained_on=task, trained_env=agents[0].config["env"]["id"])
            at = {"before": 0, "after": 1}
            pairs = zip(table.task, table.when, table.env == table.trained_env, strict=True)
            rates = [known[to][at[when]] if same and to in known and when in at else math.nan for to, when, same in pairs]
            table["paper"] = rates
            table["paper_tag"] = [paper.content["unseen"]["tag"] if value == value else "" for value in table.paper]
            tables.append(table)
    if not tables:
        raise UserError(
            f"--method {options.method}: expected a run of it that was tested on other tasks, found none; "
            "make one with python src/evaluate.py run=<folder of a finished run> suite=unseen"
        )
    for task in left_out:
        warn(f"{task}: left out, since no run of {options.method} was tested on another task (src/evaluate.py, suite=unseen)")
    data = pd.concat(tables, ignore_index=True)
    front = ["trained_env", "trained_on"]
    return data[[*front, *(name for name in data if name not in front)]]


def any_tested(tasks: Grouped, options: argparse.Namespace) -> bool:
    """Return whether some run of the method was tested on another task than its own."""
    agents = [run for methods in tasks.values() for run in methods.get(options.method, [])]
    return any(not transfer.played(run, options.mode).own.all() for run in agents)


def unseen_table(data: pd.DataFrame, paper: Paper, options: argparse.Namespace) -> Table:
    """Make a table with a row for each trained-on and tested-on task."""
    shown = []
    for (trained, task), group in data.groupby(["trained_on", "task"], sort=False):
        by = {str(row["when"]): row for row in group.to_dict("records")}
        after = by["after"]
        shown.append([
            style.title(str(trained)), style.title(str(task)), f"{after['seeds']}", *(_rate(by[when]) for when in transfer.WHEN),
            " ".join(f"{float(rate):.2f}" for rate in after["by_seed"].split()), _gain(after),
            *(_paper(by[when]["paper"], paper) for when in ("before", "after")),
        ])  # fmt: skip
    return Table("Generalisation to unseen tasks", COLUMNS, shown, [*_notes(options), *NOTES, _paper_note(paper)], data=data)


def transfer_table(data: pd.DataFrame, options: argparse.Namespace) -> Table:
    """Make a table with a row for each tested-on task and a column for each trained-on one."""
    trained = list(dict.fromkeys(data.trained_on))
    shown = []
    for (_, task), group in data.groupby(["env", "task"], sort=False):
        cells = {row["trained_on"]: f"{row['rate']:.2f} ({_signed(row['gain'])})" for row in group.to_dict("records")}
        shown.append([style.title(str(task)), *(cells.get(name, NONE) for name in trained)])
    columns = ["tested on", *(f"trained on {style.title(task).lower()}" for task in trained)]
    cells_are = "In brackets: the gain over the untrained model. Intervals, and what each seed shows, are in transfer.csv."
    return Table("Transfer between tasks", columns, shown, [*_notes(options), cells_are], left=1, data=data)


def _rate(row: dict[Any, Any]) -> str:
    return bracketed([row["rate"], row["low"], row["high"]])


def _gain(row: dict[Any, Any]) -> str:
    ends = " to ".join(dict.fromkeys(_signed(row[end]) for end in ("gain_low", "gain_high")))
    return f"{_signed(row['gain'])} ({ends})"


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # no -0.00


def _paper(rate: float, paper: Paper) -> str:
    return NONE if math.isnan(rate) else f"{number(rate)} {paper.tag('unseen')}"


def _notes(options: argparse.Namespace) -> list[str]:
    rates = f"Success rates of {style.label(options.method)}, {options.mode}: of the episodes of all seeds together."
    return [rates, *repeats.notes(options.evaluations)]


def _paper_note(paper: Paper) -> str:
    return f"Paper: {paper.legend('unseen')}; {paper.content['unseen']['episodes']} episodes."
