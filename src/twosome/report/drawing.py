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


class Command:
    """A script of analysis/: reads the runs that its command line names, and writes their tables and figures."""

    def __init__(self, script: str, about: str | None, make_of: MakeOf, *add: Callable[[commands.Parser], None]) -> None:
        """script: its path; paper.yaml, the papers' numbers, is beside it. about: its docstring. add: each adds options."""
        self.paper, self.about, self.make_of, self.add = Path(script).with_name("paper.yaml"), about, make_of, add

    def parser(self) -> commands.Parser:
        """Make the parser of the command's options."""
        made = commands.parser(self.about)
        for add in self.add:
            add(made)
        return made

    def make(self, options: argparse.Namespace) -> list[Path]:
        """Write the files; return their paths. Raises UserError, as reading runs and make_of do."""
        numbers = Paper.read(self.paper)
        out = Folder(options.out)
        self.make_of(commands.read_runs(options, numbers.tasks), numbers, options, out)
        return out.paths

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the command; return its exit code."""
        return commands.run(self.parser(), self.make, arguments)
