"""One page with everything: figures, tables, the ledger of claims, and each run's configuration and origin.

It makes what the other commands make, of the same runs, and shows it: pictures are part of the page, which needs nothing else.

Examples:
  python analysis/report.py multirun --out results
  python analysis/report.py multirun outputs --unfinished
  python analysis/report.py results/published/smollm2_135m --no-paper
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import ablations
import claims
import curves
import generalization
import retention
import summary
from twosome.errors import UserError
from twosome.report import commands, drawing
from twosome.report.data.run import Run
from twosome.report.messages import warn
from twosome.report.output.folder import Folder
from twosome.report.paper import Paper
from twosome.report.results.page import Page, written

STYLES = Path(__file__).with_name("report.css")
PARTS: dict[str, Callable[[Sequence[Run], Paper, argparse.Namespace, Folder], None]] = {
    "curves": curves.make_all,
    "summary": summary.make_of,
    "generalization": generalization.make_of,
    "retention": retention.make_of,
    "ablations": ablations.make_of,
    "claims": claims.make_of,
}
"""The commands whose files the page shows."""


def make_of(runs: Sequence[Run], paper: Paper, options: argparse.Namespace, out: Folder) -> None:
    """Make all files and the page of runs that were read. What cannot be made of these is left out, with the reason."""
    lacking: dict[str, str] = {}
    for name, part in PARTS.items():
        try:
            part(runs, paper, options, out)
        except UserError as error:
            lacking[name] = str(error)
            warn(f"the report lacks {name}: {lacking[name]}")
    out.text("report.html", written(Page(out, runs), lacking, STYLES.read_text()))


command = drawing.Command(
    __file__, __doc__, make_of, commands.add_statistics, commands.add_ablations, curves.add_options, generalization.add_options
)
make, parser, main = command.make, command.parser, command.main


if __name__ == "__main__":
    sys.exit(main())
