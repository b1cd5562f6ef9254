"""Normalisations of an action's log-probability (TWOSOME section 4.2): the divisor of the sum over its tokens.

The log-probability of an action decreases with its length. Dividing by the number of tokens or words corrects for that.
A normalisation is a pure function of the action prompt and its number of tokens that returns a divisor. To add one, write the
function anywhere and a YAML in conf/norm that names it.
"""

import inspect
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from twosome.errors import ContractError, UserError, is_interruption, raised, shown

Normalization = Callable[[str, int], float]

LEAST, MOST = 1e-4, 1e30
"""Bounds of a divisor, so that a score stays above `engine.MASKED` and within float32."""

EXPECTED = "expected a function of an action prompt and its number of tokens"


def none(action_prompt: str, num_tokens: int) -> float:
    """Do not normalise: the score is the log of the tokens' joint probability (TWOSOME, equation 2)."""
    return 1.0


def token(action_prompt: str, num_tokens: int) -> float:
    """Divide by the number of tokens."""
    return float(num_tokens)


def word(action_prompt: str, num_tokens: int) -> float:
    """Divide by the number of whitespace-separated words."""
    return float(len(action_prompt.split()))


def checked(norm: Normalization) -> Normalization:
    """Return norm with a check of its values: numbers from LEAST to MOST.

    Values are cached by action prompt and number of tokens. The result raises ContractError, which names the norm and the action.
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
    """Raise UserError if norm cannot be called as a normalisation."""
    if not callable(norm):
        raise UserError(f"norm={shown(norm)}: {EXPECTED}, named by norm._target_")
    if isinstance(_function(norm), type):
        raise UserError(f"{_named(norm)}: it is a class, {EXPECTED}; _partial_: false in conf/norm makes an object of it")
    try:
        inspect.signature(norm).bind("an action", 2)
    except TypeError as error:
        raise UserError(f"{_named(norm)}: {error}; {EXPECTED}") from error
    except ValueError:  # some functions written in C have no signature; the first call checks them
        return


def _named(norm: Any) -> str:
    """Return the option that names the norm, as in a configuration."""
    function = _function(norm)
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"norm._target_={named.__module__}.{named.__qualname__}"


def _function(norm: Any) -> Any:
    return norm.func if isinstance(norm, partial) else norm
