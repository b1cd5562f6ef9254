"""The exceptions that commands print as one line, and helpers for their messages."""

import unicodedata
from collections.abc import Iterable


class UserError(ValueError):
    """Bad input; exit code 2. The message is one line that names the option, its value and what was expected."""


class RunError(RuntimeError):
    """A fault during a run with valid options; exit code 1. The message is one line."""


def unknown_choice(option: str, value: object, choices: Iterable[str]) -> UserError:
    """Return the error for ``option=value`` if value is none of choices."""
    return UserError(f"{option}={value}: expected one of {', '.join(sorted(choices))}")


def check_seed(option: str, value: int) -> None:
    """Raise UserError unless value is a seed that every generator accepts."""
    if not 0 <= value < 2**32:
        raise UserError(f"{option}={value}: expected an integer from 0 to 2**32 - 1")


def visible(text: str, keep: str = "") -> str:
    """Return a text for the terminal: control characters, which names in files may hold, are replaced by escapes such as \\x1b.

    keep: those that are not replaced.
    """
    return "".join(
        each if each.isprintable() or each in keep or unicodedata.category(each) == "Zs" else ascii(each)[1:-1] for each in text
    )
