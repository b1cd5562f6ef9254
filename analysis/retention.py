"""What the language model still knows after it learned to act: benchmarks and drift before and after, and over training.

Two tables, retention (accuracies, with a figure) and drift; and the forgetting curves of the runs that have retention.every.

Examples:
  python analysis/retention.py multirun --out results
  python analysis/retention.py multirun --seeds 0,1,2 --evaluations latest
  python analysis/retention.py results/published/smollm2_135m
"""

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from twosome.errors import UserError
from twosome.report import commands, drawing
from twosome.report.data.collection import by_task, ordinary
from twosome.report.data.run import Run
from twosome.report.messages import warn
from twosome.report.output import style
from twosome.report.output.folder import Folder
from twosome.report.paper import Paper
from twosome.report.results import retention_figures as figures
from twosome.report.results import retention_tables as tables


def make_of(runs: Sequence[Run], paper: Paper, options: argparse.Namespace, out: Folder) -> None:
    """Write tables and figures of runs that were read. Raises UserError where no language model was evaluated."""
    groups = [
        (task, method, found[method]) for task, found in by_task(ordinary(runs)).items() for method in style.order(list(found))
    ]
    accuracies = pd.DataFrame([row for group in groups for row in tables.accuracy_rows(*group, paper)])
    drift = pd.DataFrame([row for group in groups for row in tables.drift_rows(*group)])
    if accuracies.empty:
        raise UserError(
            "expected a run whose language model was asked something, found none; ask with python src/evaluate.py "
            "run=<folder of a finished run> suite=retention, or suite=drift, which needs no data"
        )
    out.table("retention", tables.accuracy_table(accuracies, paper, options.evaluations))
    out.figure("retention", figures.accuracies(accuracies, tables.TITLES))
    out.table("drift", tables.drift_table(drift, options.evaluations))
    curves = pd.DataFrame([row for group in groups for row in tables.forgetting_rows(*group)])
    if curves.empty:
        warn("no forgetting curves: no run was probed during training (src/run.py, retention.every=<updates>)")
        return
    out.csv("forgetting", curves)
    out.figure("forgetting", figures.forgetting(curves))


command = drawing.Command(__file__, __doc__, make_of, commands.add_evaluations)
make, parser, main = command.make, command.parser, command.main


if __name__ == "__main__":
    sys.exit(main())
