"""A table per task and method: what was reached, how soon, how surely, and beside it what the paper reports.

Example: python analysis/summary.py multirun --out results
"""

import sys

from twosome.report import summary
from twosome.report.commands import STATISTICS, Command, Given
from twosome.report.runs import ordinary


def make_of(given: Given) -> None:
    """Write the table of runs that were read."""
    given.out.table("summary", summary.table(ordinary(given.runs), given.paper, given.options))


command = Command(__file__, __doc__, make_of, *STATISTICS)
main = command.main

if __name__ == "__main__":
    sys.exit(main())
