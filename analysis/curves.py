"""Learning curves: discounted return against environment steps, a panel per task.

Two figures, as in the paper: norms against each other, and word against the baselines. With the plotted numbers as CSV.

python analysis/curves.py multirun --out results
"""

if __name__ == "__main__":  # before the imports that take seconds
    from twosome import signals

    signals.install()

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from twosome.report import commands, drawing
from twosome.report.data.collection import by_task
from twosome.report.data.run import Run
from twosome.report.messages import warn
from twosome.report.output.folder import Folder
from twosome.report.paper import Paper
from twosome.report.results.learning_curves import draw, plotted
from twosome.report.statistics import smoothing

PAPER = Path(__file__).with_name("paper.yaml")
LANGUAGE = "twosome-"  # what the names of the norms' methods begin with
FIGURES = {
    "norms": lambda method: method.startswith(LANGUAGE),
    "baselines": lambda method: not method.startswith(LANGUAGE) or method == f"{LANGUAGE}word",
}
"""By name, which methods a figure shows."""


def make_of(runs: Sequence[Run], paper: Paper, options: argparse.Namespace, out: Folder) -> None:
    """Draw both figures and write the numbers of runs that were read."""
    tasks, bootstrap = by_task(runs), commands.bootstrap(options)
    windows = smoothing.of_tasks(tasks, options.window)
    rows = pd.concat([plotted(task, methods, windows[task], options.stat, bootstrap) for task, methods in tasks.items()])
    out.csv("curves", rows)
    for task, methods in tasks.items():
        for method in methods:
            if rows[(rows.task == task) & (rows.method == method)].center.isna().all():
                why = "no training episode has ended" if any(run.steps for run in methods[method]) else "it was not evaluated"
                warn(f"{task}, {method}: not drawn, since {why}")
    optima = {run.task: run.optimum for run in runs if not math.isnan(run.optimum)}
    for name, shows in FIGURES.items():
        chosen = rows[rows.method.map(shows)]
        if len(chosen):
            points = paper if options.paper else None
            figure = draw(chosen, optima, windows, options.stat, sorted(set(rows.method)), points)
            out.figure(f"curves_{name}", figure)


make = drawing.of_options(make_of, PAPER)


def parser() -> commands.Parser:
    """Make the parser of the command's options."""
    made = commands.parser(__doc__)
    commands.add_statistics(made)
    add_options(made)
    return made


def add_options(made: commands.Parser) -> None:
    """Add the options that only this command has."""
    made.add_argument("--no-paper", dest="paper", action="store_false", help="without the paper's points")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return commands.run(parser(), make, arguments)


if __name__ == "__main__":
    sys.exit(main())
