"""Warnings to the user, each on one line."""

import sys

from twosome.errors import visible


def warn(message: str) -> None:
    """Print a warning that the reader of a figure needs."""
    print(f"warning: {visible(message)}", file=sys.stderr)
