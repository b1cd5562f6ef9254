"""Hydra's grammar of <option>=<value>, and texts that it cannot read: those are quoted, so that nobody has to."""

import os
import re
import shlex
from difflib import get_close_matches
from itertools import islice
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from twosome.errors import UserError, folded

MOST = 10_000
"""Values of one option in a sweep."""


def quoted(text: str, quote: Quote = Quote.single) -> str:
    """A text as one value of Hydra's grammar, whatever is in it."""
    return QuotedString(text, quote).with_quotes()


def as_text(word: str) -> str:
    """What to type into a shell so that an option gets just the text behind its =."""
    name, _, text = word.partition("=")
    return shlex.quote(f"{name}={quoted(text, Quote.double)}")


def why_unreadable(word: str) -> str | None:
    """What Hydra's grammar finds wrong with a word; None where it can read it."""
    try:
        OverridesParser.create().parse_override(word)
    except HydraException as error:
        return folded(error)
    return None


def readable(word: str, sweep: bool) -> str:
    """<option>=<value> for Hydra: a value that its grammar cannot read, or each such element of a list, is taken as a text.

    sweep: whether commas separate values. Raises UserError where something else was meant: a list, a quoted text, a function.
    """
    name, _, text = word.partition("=")
    if (reason := why_unreadable(word)) is None:
        return word
    text = os.path.expanduser(text) if text.startswith("~/") else text  # no shell does so behind a =
    if os.path.exists(text):
        return f"{name}={quoted(text)}"
    if text.startswith("[") and text.endswith("]") and not re.search(r'["[{]', text[1:]):
        read = f"{name}=[{_elements(text[1:-1])}]"
    elif text.startswith(("[", "{", '"', "'")) or _is_call(text):
        read = word
    else:
        read = f"{name}={_elements(text) if sweep else quoted(text)}"
    if why_unreadable(read) is not None:
        hint = f"a list is [one,two]; for this very text, type {as_text(word)}"
        raise UserError(f"{word}: expected a value that can be read ({reason}); {hint}")
    return read


def _elements(text: str) -> str:
    """Values with commas between them, those that cannot be read quoted; where there is none, that is left as it is."""
    parts = [part.strip() for part in text.split(",")]
    return ",".join(part if why_unreadable(f"x={part}") is None else quoted(part) for part in parts)


def _is_call(text: str) -> bool:
    """Whether a text looks like one of the grammar's functions (range, choice, ...), or nearly."""
    call = re.match(r"(\w+)\(", text)
    return call is not None and bool(get_close_matches(call[1], OverridesParser.create().functions.functions))


def values_of(override: Override) -> list[Any]:
    """The values of a word: one, or those of a sweep. Raises UserError where there are none, or too many."""
    if not override.is_sweep_override():
        return [override.value()]
    try:
        values = list(islice(override.sweep_iterator(), MOST + 1))
    except (HydraException, ValueError):
        raise UserError(
            f"{override.input_line}: expected values to go through, as in 0,1,2 or range(3) or range(0,10,2)"
        ) from None
    if not values:
        raise UserError(f"{override.input_line}: expected at least one value; there is none")
    if len(values) > MOST:
        raise UserError(f"{override.input_line}: expected at most {MOST} values")
    return [value.text if isinstance(value, QuotedString) else value for value in values]


def as_integer(value: Any, default: Any) -> Any:
    """A whole number as an integer, such as 1e6, unless the option's default is something else."""
    if isinstance(value, list):
        return [as_integer(each, default[0] if isinstance(default, list) and default else default) for each in value]
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole and (default is None or type(default) is int) else value
