"""Condense runs to a few small tables that every figure and table can be made of: runs.csv, curves.csv, evaluations.csv, ...

python analysis/publish.py multirun --out results/published/smollm2_135m
"""

if __name__ == "__main__":  # before the imports that take seconds
    import signals

    signals.install()

import argparse
import sys
from pathlib import Path

import collection
import commands
import published


def make(options: argparse.Namespace) -> list[Path]:
    """Write the tables; returns their paths."""
    return published.write(collection.read(options.runs, options.seeds, options.unfinished), options.out)


if __name__ == "__main__":
    sys.exit(commands.run(commands.parser(__doc__, "results/published"), make))
