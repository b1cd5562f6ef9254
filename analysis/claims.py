"""The papers' claims as a ledger: what each is tested by, what the paper shows, what these runs show, and the verdict.

The claims are data: claims.yaml.

Examples:
  python analysis/claims.py multirun --out results
  python analysis/claims.py multirun --seeds 0,1,2 --window 8192
  python analysis/claims.py results/published/smollm2_135m --stat mean-std
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from twosome.report import commands, drawing
from twosome.report.data.run import Run
from twosome.report.output.folder import Folder
from twosome.report.paper import Paper
from twosome.report.results import claims_table
from twosome.report.statistics import claims

CLAIMS = Path(__file__).with_name("claims.yaml")


def make_of(runs: Sequence[Run], paper: Paper, options: argparse.Namespace, out: Folder) -> None:
    """Write the ledger of runs that were read."""
    out.table("claims", claims_table.table(claims.read(CLAIMS), runs, paper, options), latex=False)


command = drawing.Command(__file__, __doc__, make_of, commands.add_statistics, commands.add_ablations)
make, parser, main = command.make, command.parser, command.main


if __name__ == "__main__":
    sys.exit(main())
