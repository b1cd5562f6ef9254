"""An action's score from its tokens: the three kinds that GLAM's code has had (engine.scores)."""

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # this takes seconds; options are checked first
    from torch import Tensor


class ActionScores(Enum):
    """What a policy is the softmax of. d is the norm's divisor, and sums and products are over the action's tokens."""

    logprobs = "logprobs"
    """The sum of the tokens' log-probabilities, / d."""
    logits = "logits"
    """The sum of the tokens' logits, / d: not normalised over the vocabulary (GLAM in May 2023)."""
    product = "product"
    """The product of the tokens' probabilities to the power 1 / d, divided by the decision's largest one (GLAM in February 2023).
    So scores lie within 0 and 1, and no action is more than e times as probable as another."""


def combined(kind: ActionScores, terms: "Tensor", divisor: "Tensor", missing: "Tensor") -> "Tensor":
    """Return the scores of actions, (D, A), undefined where missing.

    terms: (D, A, T), of the tokens: logits for ActionScores.logits, otherwise log-probabilities; 0 in padding slots. divisor:
    (D, A). missing: (D, A), bool, padding slots of actions.
    """
    sums = terms.sum(dim=-1) / divisor
    if kind is not ActionScores.product:
        return sums
    best = sums.masked_fill(missing, float("-inf")).amax(dim=1, keepdim=True)
    return (sums - best).exp()
