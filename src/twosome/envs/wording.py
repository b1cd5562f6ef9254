"""What prompters of all environments share: finding one by name, and small words."""

import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from twosome.errors import UserError, unknown_choice


def find_prompter(prompt: Any, named: Mapping[str, Callable[..., Any]], arguments: str) -> Callable[..., Any]:
    """The prompter that the option ``prompt`` stands for: a name, an import path ``package.module:function``, a function.

    named: the environment's own prompters. arguments: what a prompter takes, for messages. Raises UserError.
    """
    if callable(prompt):
        return prompt
    if not isinstance(prompt, str):
        raise UserError(f"prompt={prompt!r}: expected a name, an import path package.module:function or a function")
    if ":" not in prompt:
        if prompt not in named:
            raise unknown_choice("prompt", prompt, named)
        return named[prompt]
    module, _, name = prompt.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"prompt={prompt}: expected an import path package.module:function ({error})") from error
    if not callable(found):
        raise UserError(f"prompt={prompt}: expected a function of {arguments}, found a {type(found).__name__}")
    return found


def without_articles(text: str) -> str:
    """The text without the, a and an; sentences still start with a capital."""
    return re.sub(r"\b(the|an?) (\w)", lambda m: m[2].upper() if m[1][0].isupper() else m[2], text, flags=re.IGNORECASE)


def join(words: Iterable[str]) -> str:
    """tomato; tomato and lettuce; tomato, lettuce and onion."""
    *rest, last = words
    return f"{', '.join(rest)} and {last}" if rest else last
