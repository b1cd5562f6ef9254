"""Success on tasks that were never trained on: random play, the untrained model and the trained agent, beside the paper's.

Two tables, each with its figure: generalization, the other tasks of the environment (the paper's figure 6); and transfer, all
trained-on tasks against all tested-on tasks, as far as src/evaluate.py played them with suite=unseen or suite=cross. And a table,
glam_tests, of GLAM's tests of generalisation, if there are runs that played them (suite=glam).

Examples:
  python analysis/generalization.py multirun --out results
  python analysis/generalization.py multirun --mode greedy --method twosome-token
  python analysis/generalization.py results/published/smollm2_135m
"""

import argparse
import sys
from collections.abc import Sequence

from twosome.report import commands, drawing
from twosome.report.data.collection import by_task, ordinary
from twosome.report.data.run import Run
from twosome.report.messages import warn
from twosome.report.output.folder import Folder
from twosome.report.paper import Paper
from twosome.report.results import generalization_figures as figures
from twosome.report.results import generalization_tables as tables
from twosome.report.results import glam_table


def make_of(runs: Sequence[Run], paper: Paper, options: argparse.Namespace, out: Folder) -> None:
    """Write both tables and figures of runs that were read."""
    runs = ordinary(runs)
    tested = glam_table.rows(by_task(runs), paper)
    if not tested.empty:
        out.table("glam_tests", glam_table.table(tested, paper, options))
        if not tables.any_tested(by_task(runs), options):
            return
    data = tables.rows(by_task(runs), paper, options)
    others = data[(data.env == data.trained_env) & ~data.own]
    if others.empty:  # all were played in another environment
        warn(f"no table or figure of unseen tasks: no run of {options.method} was tested on them (src/evaluate.py, suite=unseen)")
    else:
        out.table("generalization", tables.unseen_table(others, paper, options))
        out.figure("generalization", figures.bars(others, options.method, paper.model))
    trained = data[(data.when == "after") & data.gain.notna()]
    out.table("transfer", tables.transfer_table(trained, options))
    out.figure("transfer", figures.matrix(trained))


def add_options(made: commands.Parser) -> None:
    """Add the options that only this command has."""
    made.add_argument("--mode", choices=("sampled", "greedy"), default="sampled", help="how the agents choose actions")
    made.add_argument("--method", default="twosome-word", help="whose agents; the paper's have the word norm")


command = drawing.Command(__file__, __doc__, make_of, commands.add_evaluations, add_options)
make, parser, main = command.make, command.parser, command.main


if __name__ == "__main__":
    sys.exit(main())
