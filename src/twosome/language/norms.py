"""Normalisations of an action's log-probability (TWOSOME section 4.2): what the sum over its tokens is divided by.

A long action has a small probability only because it is long; dividing by its length in tokens or in words takes that
away. A normalisation is any callable from the action prompt and its number of tokens to a divisor; to add one, write the
function anywhere and a YAML in conf/norm that names it.
"""

from collections.abc import Callable

Normalization = Callable[[str, int], float]


def none(action_prompt: str, num_tokens: int) -> float:
    """The plain joint probability of the action's tokens (equation 2 of the paper)."""
    return 1.0


def token(action_prompt: str, num_tokens: int) -> float:
    """The mean log-probability of a token."""
    return float(num_tokens)


def word(action_prompt: str, num_tokens: int) -> float:
    """The mean log-probability of a whitespace-separated word, however many tokens a word has."""
    return float(len(action_prompt.split()))
