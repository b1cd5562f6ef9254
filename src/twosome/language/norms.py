"""Normalisations of an action's log-probability (TWOSOME section 4.2): what the sum over its tokens is divided by.

A long action has a small probability only because it is long; dividing by its length in tokens or in words takes that
away. A normalisation is any callable from the action prompt and its number of tokens to a divisor, and depends on nothing else;
to add one, write the function anywhere and a YAML in conf/norm that names it.
"""

import inspect
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from twosome.errors import ContractError, UserError, is_interruption, raised, shown

Normalization = Callable[[str, int], float]

LEAST, MOST = 1e-4, 1e30
"""Divisors between which a score stays above `scorer.MASKED` and within float32."""

EXPECTED = "expected a function of an action prompt and its number of tokens"


def none(action_prompt: str, num_tokens: int) -> float:
    """The plain joint probability of the action's tokens (equation 2 of the paper)."""
    return 1.0


def token(action_prompt: str, num_tokens: int) -> float:
    """The mean log-probability of a token."""
    return float(num_tokens)


def word(action_prompt: str, num_tokens: int) -> float:
    """The mean log-probability of a whitespace-separated word, however many tokens a word has."""
    return float(len(action_prompt.split()))


def checked(norm: Normalization) -> Normalization:
    """norm with each of its values checked: a number that an action's log-probability can be divided by.

    Asked for once per action prompt and number of tokens. Raises ContractError, which names the norm and the action.
    """
    return lru_cache(maxsize=2**16)(partial(_divisor, norm))


def _divisor(norm: Normalization, action_prompt: str, num_tokens: int) -> float:
    given = f"for the action {shown(action_prompt)} of {num_tokens} tokens"
    try:
        divisor: Any = norm(action_prompt, num_tokens)
    except BaseException as error:
        if isinstance(error, UserError) or is_interruption(error):
            raise
        raise ContractError(f"{_named(norm)}: it {raised(error)} {given}; HYDRA_FULL_ERROR=1 shows the traceback") from error
    number = isinstance(divisor, float | int | np.floating | np.integer) and not isinstance(divisor, bool)
    if not number or not LEAST <= divisor <= MOST:
        raise ContractError(f"{_named(norm)}: it gave {shown(divisor)} {given}, expected a number from {LEAST:g} to {MOST:g}")
    return float(divisor)


def check_norm(norm: Any) -> None:
    """Raise UserError where norm cannot be called as a normalisation."""
    if not callable(norm):
        raise UserError(f"norm={shown(norm)}: {EXPECTED}, named by norm._target_")
    if isinstance(_function(norm), type):
        raise UserError(f"{_named(norm)}: it is a class, {EXPECTED}; _partial_: false in conf/norm makes an object of it")
    try:
        inspect.signature(norm).bind("an action", 2)
    except TypeError as error:
        raise UserError(f"{_named(norm)}: {error}; {EXPECTED}") from error
    except ValueError:  # some of C's functions have no signature; then the first call tells
        return


def _named(norm: Any) -> str:
    """The norm as a configuration names it."""
    function = _function(norm)
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"norm._target_={named.__module__}.{named.__qualname__}"


def _function(norm: Any) -> Any:
    return norm.func if isinstance(norm, partial) else norm
