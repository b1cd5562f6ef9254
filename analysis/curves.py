"""Learning curves: discounted return against environment steps, optimiser steps or seconds, a panel per task.

Two figures, as in the paper: norms against each other, and word against the baselines. With the plotted numbers as CSV. Curves of
BabyAI-Text show success, as GLAM's.

Example: python analysis/curves.py multirun --out results
"""

import math
import sys

import pandas as pd

from twosome.report.commands import STATISTICS, Command, Given
from twosome.report.curves import draw, plotted
from twosome.report.runs import ordinary
from twosome.report.statistics import AXES, STEPS, Estimator, windows

FIGURES = {
    "norms": lambda method: method.startswith("twosome-"),
    "baselines": lambda method: not method.startswith("twosome-") or method == "twosome-word",
}
"""By name, which methods a figure shows."""


def make_of(given: Given) -> None:
    """Draw the figures against one x-axis, or each (without the option: report.py), and write the numbers."""
    runs, paper, options, out = given
    tasks, lengths = ordinary(runs), windows(ordinary(runs), options.window)
    optima = {run.task: run.optimum for run in runs if not run.ablated and not math.isnan(run.optimum)}
    for axis in [AXES[options.against]] if "against" in options else AXES.values():
        how = (axis, Estimator.of(options), paper)
        rows = pd.concat([plotted(task, methods, lengths[task], *how) for task, methods in tasks.items()])
        if len(rows):
            out.csv(f"curves{axis.suffix}", rows)
        points = paper if options.paper and axis is STEPS else None
        for name, shows in FIGURES.items():
            if len(rows) and rows.method.map(shows).any():
                chosen, methods = rows[rows.method.map(shows)], sorted(set(rows.method))
                out.figure(f"curves_{name}{axis.suffix}", draw(chosen, axis, optima, lengths, options.stat, methods, points))


command = Command(__file__, __doc__, make_of, *STATISTICS, "no-paper", "against")
main = command.main

if __name__ == "__main__":
    sys.exit(main())
