"""From an action's tokens to its score, whose softmax over a decision's actions is the policy.

A norm (TWOSOME section 4.2) is the divisor of the sum over an action's tokens: the log-probability of an action decreases with
its length, and dividing by the number of tokens or words corrects for that. It is a pure function of the action prompt and its
number of tokens. To add one, write the function anywhere and a YAML in conf/norm that names it.
"""

from collections.abc import Callable
from enum import Enum

from torch import Tensor

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


class ActionScores(Enum):
    """The three kinds of scores that GLAM's code has had. d is the norm's divisor; sums and products are over the tokens."""

    logprobs = "logprobs"
    """The sum of the tokens' log-probabilities, / d."""
    logits = "logits"
    """The sum of the tokens' logits, / d: not normalised over the vocabulary (GLAM in May 2023)."""
    product = "product"
    """The product of the tokens' probabilities to the power 1 / d, divided by the decision's largest one (GLAM in February 2023).
    So scores lie within 0 and 1, and no action is more than e times as probable as another."""


def combined(kind: ActionScores, terms: Tensor, divisor: Tensor, missing: Tensor) -> Tensor:
    """Return the scores of actions, (D, A), undefined where missing.

    terms: (D, A, T), of the tokens: logits for ActionScores.logits, otherwise log-probabilities; 0 in padding slots. divisor:
    (D, A). missing: (D, A), bool, padding slots of actions.
    """
    sums = terms.sum(dim=-1) / divisor
    if kind is not ActionScores.product:
        return sums
    best = sums.masked_fill(missing, float("-inf")).amax(dim=1, keepdim=True)
    return (sums - best).exp()
