"""Messages to the user, each on one line."""

import sys


def one_line(text: str) -> str:
    """Replace control characters, which names in files may hold, by escapes."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def warn(message: str) -> None:
    """Print a warning that the reader of a figure needs."""
    print(f"warning: {one_line(message)}", file=sys.stderr)
