"""Success on tasks that were never trained on: random play, the untrained model and the trained agent, beside the paper's.

Two tables, each with its figure: generalization, the other tasks of the environment (the paper's figure 6); and transfer, all
trained-on tasks against all tested-on tasks, as far as src/evaluate.py played them with suite=unseen or suite=cross.

python analysis/generalization.py multirun --out results
"""

if __name__ == "__main__":  # before the imports that take seconds
    import signals

    signals.install()

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import collection
import commands
import counting
import generalization_figures as figures
import paper
import style
import transfer
from commands import AnalysisError, warn
from runs import Run
from tables import NONE, Table, bracketed, number, write_table
from writing import write_figure

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


def make(options: argparse.Namespace) -> list[Path]:
    """Write both tables and figures; returns the paths."""
    return make_of(collection.asked(options), options)


def make_of(runs: Sequence[Run], options: argparse.Namespace) -> list[Path]:
    """The same of runs that were read before."""
    data = collect(runs, options)
    others = data[(data.env == data.trained_env) & ~data.own]
    paths: list[Path] = []
    if others.empty:  # all were played in another environment
        warn(f"no table or figure of unseen tasks: no run of {options.method} was tested on them (src/evaluate.py, suite=unseen)")
    else:
        paths += write_table(options.out / "generalization", unseen_table(others, options), others)
        paths += write_figure(options.out / "generalization", figures.bars(others, options.method))
    trained = data[(data.when == "after") & data.gain.notna()]
    paths += write_table(options.out / "transfer", transfer_table(trained, options), trained)
    return paths + write_figure(options.out / "transfer", figures.matrix(trained))


def collect(runs: Sequence[Run], options: argparse.Namespace) -> pd.DataFrame:
    """The rows of transfer.pooled for each trained-on task, and the paper's rates; raises AnalysisError where there are none."""
    tables, left_out = [], []
    for task, methods in collection.by_task(runs).items():
        agents = methods.get(options.method, [])
        tested = [run for run in agents if not transfer.played(run, options.mode).own.all()]
        if agents and not tested:
            left_out.append(task)
        elif agents:
            told = paper.unseen(task, options.method) if options.mode == "sampled" else {}
            rows = transfer.pooled(agents, options.mode).assign(trained_on=task, trained_env=agents[0].config["env"]["id"])
            at = {"before": 0, "after": 1}
            pairs = zip(rows.task, rows.when, rows.env == rows.trained_env, strict=True)
            rows["paper"] = [told[to][at[when]] if same and to in told and when in at else math.nan for to, when, same in pairs]
            rows["paper_tag"] = [paper.content()["unseen"]["tag"] if value == value else "" for value in rows.paper]
            tables.append(rows)
    if not tables:
        raise AnalysisError(
            f"--method {options.method}: expected a run of it that was tested on other tasks, found none; "
            "make one with python src/evaluate.py run=<folder of a finished run> suite=unseen"
        )
    for task in left_out:
        warn(f"{task}: left out, since no run of {options.method} was tested on another task (src/evaluate.py, suite=unseen)")
    data = pd.concat(tables, ignore_index=True)
    front = ["trained_env", "trained_on"]
    return data[[*front, *(name for name in data if name not in front)]]


def unseen_table(data: pd.DataFrame, options: argparse.Namespace) -> Table:
    """A row for each trained-on and tested-on task."""
    rows = []
    for (trained, task), group in data.groupby(["trained_on", "task"], sort=False):
        by = {str(row["when"]): row for row in group.to_dict("records")}
        after = by["after"]
        rows.append([
            style.title(str(trained)), style.title(str(task)), f"{after['seeds']}", *(_rate(by[when]) for when in transfer.WHEN),
            " ".join(f"{float(rate):.2f}" for rate in after["by_seed"].split()), _gain(after),
            *(_paper(by[when]["paper"]) for when in ("before", "after")),
        ])  # fmt: skip
    return Table("Generalisation to unseen tasks", COLUMNS, rows, [*_notes(options), *NOTES, _paper_note()])


def transfer_table(data: pd.DataFrame, options: argparse.Namespace) -> Table:
    """A row for each tested-on task, a column for each trained-on one."""
    trained = list(dict.fromkeys(data.trained_on))
    rows = []
    for (_, task), group in data.groupby(["env", "task"], sort=False):
        cells = {row["trained_on"]: f"{row['rate']:.2f} ({_signed(row['gain'])})" for row in group.to_dict("records")}
        rows.append([style.title(str(task)), *(cells.get(name, NONE) for name in trained)])
    columns = ["tested on", *(f"trained on {style.title(task).lower()}" for task in trained)]
    cells_are = "In brackets: the gain over the untrained model. Intervals, and what each seed shows, are in transfer.csv."
    return Table("Transfer between tasks", columns, rows, [*_notes(options), cells_are], left=1)


def _rate(row: dict[Any, Any]) -> str:
    return bracketed([row["rate"], row["low"], row["high"]])


def _gain(row: dict[Any, Any]) -> str:
    ends = " to ".join(dict.fromkeys(_signed(row[end]) for end in ("gain_low", "gain_high")))
    return f"{_signed(row['gain'])} ({ends})"


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # no -0.00


def _paper(rate: float) -> str:
    return NONE if math.isnan(rate) else f"{number(rate)} {paper.tag(paper.content()['unseen'])}"


def _notes(options: argparse.Namespace) -> list[str]:
    told = f"Success rates of {style.label(options.method)}, {options.mode}: of the episodes of all seeds together."
    return [told, *counting.notes(options.evaluations)]


def _paper_note() -> str:
    told = paper.content()["unseen"]
    return f"Paper: {paper.legend(told)}; {told['episodes']} episodes."


def parser() -> commands.Parser:
    """The command's options."""
    made = commands.parser(__doc__)
    commands.add_evaluations(made)
    add_options(made)
    return made


def add_options(made: commands.Parser) -> None:
    """Those that this command has of its own."""
    made.add_argument("--mode", choices=("sampled", "greedy"), default="sampled", help="how the agents choose actions")
    made.add_argument("--method", default="twosome-word", help="whose agents; the paper's have the word norm")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return commands.run(parser(), make, arguments)


if __name__ == "__main__":
    sys.exit(main())
