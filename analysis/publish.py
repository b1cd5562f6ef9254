"""Condense runs to a few small tables that every figure and table can be made of: runs.csv, curves.csv, evaluations.csv, ...

The folder is publish.py's own: it is new, has no files, or was written by publish.py before, which is then replaced.

Examples:
  python analysis/publish.py multirun --out results/published/smollm2_135m
  python analysis/publish.py runs outputs --seeds 0,1,2
  python analysis/publish.py multirun --unfinished --out results/published/partial
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from twosome.report import commands
from twosome.report.data import published
from twosome.report.output.files import PUBLISHED
from twosome.report.paper import Paper

PAPER = Path(__file__).with_name("paper.yaml")


def make(options: argparse.Namespace) -> list[Path]:
    """Write the tables; return their paths."""
    return published.write(commands.read_runs(options, Paper.read(PAPER).tasks), options.out)


def parser() -> commands.Parser:
    """Make the parser of the command's options."""
    return commands.parser(__doc__, "results/published/my_runs", PUBLISHED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return commands.run(parser(), make, arguments)


if __name__ == "__main__":
    sys.exit(main())
