"""A table per task and method: what was reached, how soon, how surely, and beside it what the paper reports.

Examples:
  python analysis/summary.py multirun --out results
  python analysis/summary.py multirun --seeds 0,1,2 --window 8192
  python analysis/summary.py results/published/smollm2_135m --stat mean-std
"""

if __name__ == "__main__":  # before the imports that take seconds
    from twosome import signals

    signals.install()

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from twosome.report import commands, drawing
from twosome.report.data.collection import by_task, ordinary
from twosome.report.data.run import Run
from twosome.report.output.folder import Folder
from twosome.report.paper import Paper
from twosome.report.results.summary_table import Summary

PAPER = Path(__file__).with_name("paper.yaml")


def make_of(runs: Sequence[Run], paper: Paper, options: argparse.Namespace, out: Folder) -> None:
    """Write the table of runs that were read."""
    out.table("summary", Summary(by_task(ordinary(runs)), paper, options).table())


make = drawing.of_options(make_of, PAPER)


def parser() -> commands.Parser:
    """Make the parser of the command's options."""
    made = commands.parser(__doc__)
    commands.add_statistics(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return commands.run(parser(), make, arguments)


if __name__ == "__main__":
    sys.exit(main())
