"""Options that environments share: a prompter by its name or import path, and checks that raise a UserError of one line."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from math import inf
from typing import Any, Final, Self

from gymnasium.error import ResetNeeded

from twosome.errors import UserError, check, check_choice

SPLITS: Final = ("train", "test")
"""The values of ``split``, of environments that hold games out of training."""


def check_whole(option: str, value: object, least: float, most: float = inf, note: str = "") -> None:
    """Raise UserError unless an option's value is an integer from least to most. note: is added to the message."""
    valid = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    check(valid, option, value, f"a whole number from {least} {'on' if most == inf else f'to {most}'}{note}")


def check_number(option: str, value: object, least: float, most: float, expected: str) -> None:
    """Raise UserError unless an option's value is a number from least to most. expected: in words, for the message."""
    valid = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    check(valid, option, value, expected)


def check_render_mode(value: str | None, modes: Sequence[str]) -> None:
    """Raise UserError unless value is None or one of the environment's render modes."""
    if value is not None:
        check_choice("render_mode", value, modes)


def valid_action(action: Any, over: bool, count: int) -> int:
    """Return a step's action as an int, one of 0 to count - 1. Raises ResetNeeded if the episode is over, and UserError."""
    if over:
        raise ResetNeeded("the episode is over or has not begun: call reset() before step()")
    check(0 <= action < count, "action", action, f"0 to {count - 1}, an action's id")
    return int(action)


def find_prompter(prompt: Any, named: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """Return the prompter that the option ``prompt`` stands for: a name, an import path ``package.module:function``, a function.

    named: the environment's own prompters. Raises UserError.
    """
    if callable(prompt):
        return prompt
    if ":" not in str(prompt):
        check_choice("prompt", prompt, named)
        return named[prompt]
    module, _, name = prompt.partition(":")
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"prompt={prompt}: expected an import path package.module:function ({error})") from error
    return found


@dataclass(frozen=True)
class Principles:
    """The paper's four principles of prompt design, of which dropping one is an ablation, and explicit phrases."""

    cohesion: bool = True  # the prompt ends in a linking phrase that the action completes as a sentence
    articles: bool = True  # "the tomato", not "tomato"
    context: bool = True  # the goal, with the key objects, is repeated at every decision
    adaptation: bool = True  # an action's phrase says what it would do in this state; up to the environment's phrases
    explicit: bool = False  # adaptation goes further: a phrase names all that the action would act on, and with what

    @classmethod
    def named(cls) -> dict[str, Self]:
        """Return the prompters by name: default has the four principles, explicit adds its phrases, the others drop one."""
        principles = [each.name for each in fields(cls) if each.default]
        return {"default": cls(), "explicit": cls(explicit=True), **{f"no_{name}": cls(**{name: False}) for name in principles}}

    def worded(self, scene: Iterable[str], goal: str, phrases: Iterable[str]) -> tuple[str, tuple[str, ...]]:
        """Return the prompt and the action prompts. scene: sentences. goal, phrases: as in "serve the dish"."""
        prompt = " ".join(filter(None, (*scene, self._ending(goal))))
        if self.articles:
            return prompt, tuple(phrases)
        return without_articles(prompt), tuple(map(without_articles, phrases))

    def _ending(self, goal: str) -> str:
        if not self.context:
            return "You should first" if self.cohesion else ""
        return f"To {goal}, you should first" if self.cohesion else f"Your task is to {goal}."


def without_articles(text: str) -> str:
    """Return the text without the, a and an; sentences still start with a capital."""
    return re.sub(r"\b(the|an?) (\w)", lambda m: m[2].upper() if m[1][0].isupper() else m[2], text, flags=re.IGNORECASE)


def join(words: Iterable[str]) -> str:
    """Join words: tomato; tomato and lettuce; tomato, lettuce and onion."""
    *rest, last = words
    return f"{', '.join(rest)} and {last}" if rest else last
