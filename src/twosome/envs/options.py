"""Options that environments share: a prompter by its name or import path, and checks that raise a UserError of one line."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from math import inf
from typing import Any

from twosome.errors import UserError, import_hint, unknown_choice


def check_whole(option: str, value: object, least: float, most: float = inf, note: str = "") -> None:
    """Raise UserError unless an option's value is an integer from least to most. note: is added to the message."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        upper = "on" if most == inf else f"to {most}"
        raise UserError(f"{option}={value}: expected a whole number from {least} {upper}{note}")


def check_number(option: str, value: object, least: float, most: float, expected: str) -> None:
    """Raise UserError unless an option's value is a number from least to most. expected: in words, for the message."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise UserError(f"{option}={value}: expected {expected}")


def check_render_mode(value: str | None, modes: Sequence[str]) -> None:
    """Raise UserError unless value is None or one of the environment's render modes."""
    if value is not None and value not in modes:
        raise unknown_choice("render_mode", value, modes)


def find_prompter(prompt: Any, named: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """Return the prompter that the option ``prompt`` stands for: a name, an import path ``package.module:function``, a function.

    named: the environment's own prompters. Raises UserError.
    """
    if callable(prompt):
        return prompt
    if ":" not in str(prompt):
        if prompt not in named:
            raise unknown_choice("prompt", prompt, named)
        return named[prompt]
    module, _, name = prompt.partition(":")
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        reason = f"expected an import path package.module:function ({error}){import_hint(error)}"
        raise UserError(f"prompt={prompt}: {reason}") from error
    return found
