"""A table per task and method: what was reached, how soon, how surely, and beside it what the paper reports.

Examples:
  python analysis/summary.py multirun --out results
  python analysis/summary.py multirun --seeds 0,1,2 --window 8192
  python analysis/summary.py results/published/smollm2_135m --stat mean-std
"""

import argparse
import sys
from collections.abc import Sequence

from twosome.report import commands, drawing
from twosome.report.data.collection import by_task, ordinary
from twosome.report.data.run import Run
from twosome.report.output.folder import Folder
from twosome.report.paper import Paper
from twosome.report.results.summary_table import Summary


def make_of(runs: Sequence[Run], paper: Paper, options: argparse.Namespace, out: Folder) -> None:
    """Write the table of runs that were read."""
    out.table("summary", Summary(by_task(ordinary(runs)), paper, options).table())


command = drawing.Command(__file__, __doc__, make_of, commands.add_statistics)
make, parser, main = command.make, command.parser, command.main


if __name__ == "__main__":
    sys.exit(main())
