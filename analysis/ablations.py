"""Ablations: what is reached with each value of what is varied, how far that is from the usual value, and the learning curves.

The ablations are data: ablations.yaml. Files are written to the folder ablations: for each a figure and a table that begins with
what was found, and learning curves with their numbers. An ablation is drawn where runs have two of its values.

Examples:
  python analysis/ablations.py multirun --out results
  python analysis/ablations.py results/laptop/ablation_runs --stat mean-std
  python analysis/ablations.py multirun --seeds 0,1,2 --bootstrap-samples 10000
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from twosome.errors import UserError
from twosome.report import commands, drawing
from twosome.report.data.run import Run
from twosome.report.output.folder import Folder
from twosome.report.paper import Paper
from twosome.report.results import ablation_figures, ablation_tables, notes
from twosome.report.results.learning_curves import Shown, draw, plotted
from twosome.report.statistics import ablations, measures, smoothing
from twosome.report.statistics.ablations import Ablation
from twosome.report.statistics.axes import STEPS

ABLATIONS = Path(__file__).with_name("ablations.yaml")


def make_of(runs: Sequence[Run], paper: Paper, options: argparse.Namespace, out: Folder) -> None:
    """Write the figures and tables of runs that were read. Raises UserError where no ablation has runs of two values."""
    found, by_name, drawn = ablations.considered(runs), measures.by_name(paper), False
    for ablation in ablations.read(ABLATIONS):
        groups = ablation.trained_runs(found)
        windows = smoothing.of_tasks(groups, options.window)
        rows = ablations.rows(ablation, found, windows, by_name, options.stat, commands.bootstrap(options))
        if rows.empty:
            continue
        drawn, name = True, f"ablations/{ablation.name}"
        out.table(name, ablation_tables.table(ablation, rows, notes.counted(groups), options))
        out.figure(name, ablation_figures.points(ablation, rows, options.stat))
        if ablation.curves:
            _curves(ablation, groups, windows, options, paper, out)
    if not drawn:
        raise UserError(
            "expected runs of two values of an ablation (analysis/ablations.yaml), found none; make them with "
            "python src/run.py -m experiment=ablations"
        )


def _curves(
    ablation: Ablation,
    groups: dict[str, dict[str, list[Run]]],
    windows: dict[str, int],
    options: argparse.Namespace,
    paper: Paper,
    out: Folder,
) -> None:
    """Draw the learning curves of an ablation's values, for the tasks that have two of them."""
    bootstrap, groups = commands.bootstrap(options), {task: own for task, own in groups.items() if len(own) > 1}
    how = (STEPS, options.stat, bootstrap, paper)
    rows = pd.concat([plotted(task, own, windows[task], *how) for task, own in groups.items()])
    optima = {
        task: run.optimum for task, own in groups.items() for each in own.values() for run in each if run.optimum == run.optimum
    }
    names = list(dict.fromkeys(name for own in groups.values() for name in own))
    shown = Shown(STEPS, optima, windows, options.stat, names, None, notes.of_figure(groups, STEPS))
    out.csv(f"ablations/{ablation.name}_curves", rows)
    out.figure(f"ablations/{ablation.name}_curves", draw(rows, shown))


command = drawing.Command(__file__, __doc__, make_of, commands.add_statistics)
make, parser, main = command.make, command.parser, command.main


if __name__ == "__main__":
    sys.exit(main())
