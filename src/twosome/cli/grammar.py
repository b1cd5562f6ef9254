"""Hydra's grammar of <option>=<value>, and quoting of texts that it cannot read."""

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
"""The largest number of values of one option in a sweep."""


def quoted(text: str, quote: Quote = Quote.single) -> str:
    """Quote any text as one value of Hydra's grammar."""
    return QuotedString(text, quote).with_quotes()


def as_text(word: str) -> str:
    """Return a shell word that sets an option to exactly the text after the = of word."""
    name, _, text = word.partition("=")
    return shlex.quote(f"{name}={quoted(text, Quote.double)}")


def why_unreadable(word: str) -> str | None:
    """Return why Hydra's grammar cannot read a word; None if it can."""
    try:
        OverridesParser.create().parse_override(word)
    except HydraException as error:
        return folded(error)
    return None


def quoted_if_needed(word: str, sweep: bool) -> str:
    """Convert <option>=<value> for Hydra: a value that its grammar cannot read, or such an element of a list, is quoted.

    sweep: whether commas separate values. Raises UserError if the value looks like a malformed list, quoted text or function.
    """
    name, _, text = word.partition("=")
    if (reason := why_unreadable(word)) is None:
        return word
    text = os.path.expanduser(text) if text.startswith("~/") else text  # shells do not expand it after a =
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
    """Quote those of several comma-separated values that cannot be read; empty values are left as they are."""
    parts = [part.strip() for part in text.split(",")]
    return ",".join(part if why_unreadable(f"x={part}") is None else quoted(part) for part in parts)


def _is_call(text: str) -> bool:
    """Return whether a text looks like a call of one of the grammar's functions (range, choice, ...), also if misspelt."""
    call = re.match(r"(\w+)\(", text)
    return call is not None and bool(get_close_matches(call[1], OverridesParser.create().functions.functions))


def values_of(override: Override) -> list[Any]:
    """Return the values of a word: one, or those of a sweep. Raises UserError if there are none or more than MOST."""
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
    """Convert a float that is a whole number, such as 1e6, to an integer if the option's default is an integer or None."""
    if isinstance(value, list):
        return [as_integer(each, default[0] if isinstance(default, list) and default else default) for each in value]
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole and (default is None or type(default) is int) else value
