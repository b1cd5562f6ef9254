"""Condense runs to a few small tables that every figure and table can be made of: runs.csv, curves.csv, evaluations.csv, ...

The folder is publish.py's own: it is new, has no files, or was written by publish.py before, which is then replaced.

Example: python analysis/publish.py multirun --out results/published/smollm2_135m
"""

import sys

from twosome.report.commands import Command, Given
from twosome.report.output import PUBLISHED
from twosome.report.runs import publish


def make_of(given: Given) -> None:
    """Write the tables of runs that were read."""
    publish(given.runs, given.out)


command = Command(__file__, __doc__, make_of, out="results/published/my_runs", mark=PUBLISHED)
main = command.main

if __name__ == "__main__":
    sys.exit(main())
