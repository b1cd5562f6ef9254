"""What computing in bfloat16 changes: log-probabilities and gradients, against those of the same model in float32."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from twosome.decision import DecisionText
from twosome.language.engine import MASKED
from twosome.policies.language import LanguageAgent


def precision(agent: LanguageAgent, exact: LanguageAgent, texts: Sequence[DecisionText]) -> dict[str, Any]:
    """Compare two agents with the same adapter on these decisions; differences are in nats, of log P(action | prompt).

    from_float32: between the agents. alone_and_together: of agent, between a decision scored alone and with the others, which is
    the difference between rollout and update. gradient_cosine: of the adapters' gradients of the first actions' log-policy.
    """
    together, gradient = _scored(agent, texts)
    expected, other = _scored(exact, texts)
    with torch.no_grad():
        alone = torch.full_like(together, MASKED)
        for row, text in enumerate(texts):
            alone[row, : len(text[1])] = agent.engine.score([text]).logprobs[0]
    return {
        "from_float32": _difference(together, expected),
        "alone_and_together": _difference(alone, together),
        "gradient_cosine": float(torch.cosine_similarity(gradient, other, dim=0)),
    }


def _scored(agent: LanguageAgent, texts: Sequence[DecisionText]) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities of actions, (decisions, actions), and the adapter's gradient, (weights,)."""
    scores = agent.engine.score(texts)
    agent.zero_grad()
    scores.log_policy()[:, 0].sum().backward()
    gradient = torch.cat(
        [torch.zeros(0), *(weight.grad.flatten() for weight in agent.engine.lm.learned() if weight.grad is not None)]
    )
    agent.zero_grad()
    return scores.logprobs.detach(), gradient


def _difference(one: Tensor, other: Tensor) -> dict[str, float]:
    apart = (one - other)[other > MASKED].abs()
    return {"mean": float(apart.mean()), "maximum": float(apart.max())}
