"""The exceptions that commands print as one line, and helpers for their messages."""

import unicodedata
from collections.abc import Iterable


class UserError(ValueError):
    """Bad input; exit code 2. The message is one line that names the option, its value and what was expected."""


class RunError(RuntimeError):
    """A fault during a run with valid options; exit code 1. The message is one line."""


def check(valid: object, option: str, value: object, expected: str) -> None:
    """Raise UserError for ``option=value`` unless it is valid. expected: in words, for the message."""
    if not valid:
        raise UserError(f"{option}={value}: expected {expected}")


def check_choice(option: str, value: object, choices: Iterable[object]) -> None:
    """Raise UserError unless an option's value is one of these choices."""
    known = list(choices)
    check(value in known, option, value, f"one of {', '.join(sorted(map(str, known)))}")


def check_seed(option: str, value: int) -> None:
    """Raise UserError unless value is a seed that every generator accepts."""
    check(0 <= value < 2**32, option, value, "an integer from 0 to 2**32 - 1")


def visible(text: str, keep: str = "") -> str:
    """Return a text for the terminal: control characters, which names in files may hold, are replaced by escapes such as \\x1b.

    keep: those that are not replaced.
    """
    return "".join(
        each if each.isprintable() or each in keep or unicodedata.category(each) == "Zs" else ascii(each)[1:-1] for each in text
    )
