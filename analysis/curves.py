"""Learning curves: discounted return against environment steps, optimiser steps or seconds, a panel per task.

Two figures, as in the paper: norms against each other, and word against the baselines. With the plotted numbers as CSV. Curves of
BabyAI-Text show success, as GLAM's.

Examples:
  python analysis/curves.py multirun --out results
  python analysis/curves.py multirun --against seconds --no-paper
  python analysis/curves.py results/published/smollm2_135m --stat mean-std
"""

import argparse
import math
import sys
from collections.abc import Sequence

import pandas as pd

from twosome.report import commands, drawing
from twosome.report.data.collection import Grouped, by_task, ordinary
from twosome.report.data.run import BIN, Run
from twosome.report.messages import warn
from twosome.report.output.folder import Folder
from twosome.report.paper import Paper
from twosome.report.results import notes
from twosome.report.results.learning_curves import Shown, draw, plotted
from twosome.report.statistics import smoothing
from twosome.report.statistics.axes import AXES, STEPS, Axis

LANGUAGE = "twosome-"  # what the names of the norms' methods begin with
FIGURES = {
    "norms": lambda method: method.startswith(LANGUAGE),
    "baselines": lambda method: not method.startswith(LANGUAGE) or method == f"{LANGUAGE}word",
}
"""By name, which methods a figure shows."""


def make_of(runs: Sequence[Run], paper: Paper, options: argparse.Namespace, out: Folder) -> None:
    """Draw the figures against one x-axis and write the numbers, of runs that were read."""
    _against(AXES[options.against], runs, paper, options, out)


def make_all(runs: Sequence[Run], paper: Paper, options: argparse.Namespace, out: Folder) -> None:
    """Draw them against each x-axis."""
    for axis in AXES.values():
        _against(axis, runs, paper, options, out)


def _against(axis: Axis, runs: Sequence[Run], paper: Paper, options: argparse.Namespace, out: Folder) -> None:
    tasks, bootstrap = by_task(ordinary(runs)), commands.bootstrap(options)
    windows = smoothing.of_tasks(tasks, options.window)
    for note in notes.left_out(tasks, axis):
        warn(note.removesuffix("."))
    how = (axis, options.stat, bootstrap, paper)
    rows = pd.concat([plotted(task, methods, windows[task], *how) for task, methods in tasks.items()])
    if rows.empty:
        return
    out.csv(f"curves{axis.suffix}", rows)
    if axis is STEPS:
        _warn_of_nothing(rows, tasks)
    optima = {run.task: run.optimum for run in ordinary(runs) if not math.isnan(run.optimum)}
    points = paper if options.paper and axis is STEPS else None
    for name, shows in FIGURES.items():
        chosen = rows[rows.method.map(shows)]
        if len(chosen):
            here = {task: {method: own for method, own in methods.items() if shows(method)} for task, methods in tasks.items()}
            remarks = notes.of_figure(here, axis)
            shown = Shown(axis, optima, windows, options.stat, sorted(set(rows.method)), points, remarks)
            out.figure(f"curves_{name}{axis.suffix}", draw(chosen, shown))


def _warn_of_nothing(rows: pd.DataFrame, tasks: Grouped) -> None:
    """Warn of methods that have no curve."""
    for task, methods in tasks.items():
        for method in methods:
            if rows[(rows.task == task) & (rows.method == method)].center.isna().all():
                trained = any(run.acted for run in methods[method])
                why = f"not all episodes of its first {BIN} steps have ended" if trained else "it was not evaluated"
                warn(f"{task}, {method}: not drawn, since {why}")


def add_options(made: commands.Parser) -> None:
    """Add the options that only this command has."""
    made.add_argument("--no-paper", dest="paper", action="store_false", help="without the paper's points")


def add_axis(made: commands.Parser) -> None:
    """Add the option that report.py has not, since it draws them against each."""
    made.add_argument("--against", choices=AXES, default=STEPS.name, help="the x-axis")


command = drawing.Command(__file__, __doc__, make_of, commands.add_statistics, add_options, add_axis)
make, parser, main = command.make, command.parser, command.main


if __name__ == "__main__":
    sys.exit(main())
