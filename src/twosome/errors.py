"""The exception for what a user can put right: entries print it as one line and exit with code 2."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Bad input: the message is one line that names the option, its value, what was expected and how to fix it."""


def unknown_choice(option: str, value: object, choices: Iterable[str]) -> UserError:
    """The error for ``option=value`` where value is none of choices; it suggests the nearest name."""
    names = sorted(choices)
    near = get_close_matches(str(value), names, n=1)
    hint = f"; did you mean {option}={near[0]}?" if near else ""
    return UserError(f"{option}={value}: expected one of {', '.join(names)}{hint}")
