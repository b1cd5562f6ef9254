"""What a command that draws from runs does alone, without report.py, which reads the runs once for all of them."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from twosome.report import commands
from twosome.report.data.run import Run
from twosome.report.output.folder import Folder
from twosome.report.paper import Paper

MakeOf = Callable[[Sequence[Run], Paper, argparse.Namespace, Folder], None]
"""Writes tables and figures of runs that were read."""


def of_options(make_of: MakeOf, paper: Path) -> Callable[[argparse.Namespace], list[Path]]:
    """Return what reads the runs that options name, writes their tables and figures, and returns the paths of the files.

    paper: the file with the papers' numbers. What is returned raises UserError, as reading runs and make_of do.
    """

    def make(options: argparse.Namespace) -> list[Path]:
        numbers = Paper.read(paper)
        out = Folder(options.out)
        make_of(commands.read_runs(options, numbers.tasks), numbers, options, out)
        return out.paths

    return make
