"""Normalisations of an action's log-probability (TWOSOME section 4.2): the divisor of the sum over its tokens.

The log-probability of an action decreases with its length. Dividing by the number of tokens or words corrects for that.
A normalisation is a pure function of the action prompt and its number of tokens that returns a divisor. To add one, write the
function anywhere and a YAML in conf/norm that names it.
"""

from collections.abc import Callable

Normalization = Callable[[str, int], float]


def none(action_prompt: str, num_tokens: int) -> float:
    """Do not normalise: the score is the log of the tokens' joint probability (TWOSOME, equation 2)."""
    return 1.0


def token(action_prompt: str, num_tokens: int) -> float:
    """Divide by the number of tokens."""
    return float(num_tokens)


def word(action_prompt: str, num_tokens: int) -> float:
    """Divide by the number of whitespace-separated words."""
    return float(len(action_prompt.split()))
