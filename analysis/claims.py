"""The papers' claims as a ledger: what each is tested by, what the paper shows, what these runs show, and the verdict.

The claims are data: claims.yaml.

Example: python analysis/claims.py multirun --out results
"""

import sys
from pathlib import Path

from twosome.report import claims
from twosome.report.commands import STATISTICS, Command, Given

CLAIMS = Path(__file__).with_name("claims.yaml")


def make_of(given: Given) -> None:
    """Write the ledger of runs that were read."""
    ledger = claims.table(claims.read(CLAIMS), given.runs, given.paper, given.options)
    given.out.table("claims", ledger, latex=False)


command = Command(__file__, __doc__, make_of, *STATISTICS, "ablations")
main = command.main

if __name__ == "__main__":
    sys.exit(main())
