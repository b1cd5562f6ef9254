"""The losses against values worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from twosome.algorithms.ppo import pairwise_value_terms, policy_terms, value_terms
from twosome.language.engine import MASKED


def two_action_policy(*probabilities: float) -> Tensor:
    """Log-policies over two actions with these probabilities of the first."""
    first = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([first, 1 - first], dim=1).log()


def terms_of(probability: float, old: float, advantage: float, clip_coef: float = 0.2) -> tuple[Tensor, Tensor]:
    """The loss of a sample whose action went from probability old to probability, and its gradient in log p."""
    log_policy = two_action_policy(probability).requires_grad_()
    old_logprobs, advantages = torch.tensor([[math.log(old)], [advantage]], dtype=torch.float64)
    terms = policy_terms(log_policy, torch.tensor([0]), old_logprobs, advantages, clip_coef)
    (gradient,) = torch.autograd.grad(terms.loss.sum(), log_policy)
    return terms.loss, gradient[0, 0]


@pytest.mark.parametrize(
    ("probability", "advantage", "loss", "gradient"),
    [  # the old probability is 0.5, the clip range 0.8 .. 1.2; d loss / d log p = - advantage * ratio where not clipped
        (0.5, 3.0, -3.0, -3.0),
        (0.55, 2.0, -2.2, -2.2),
        (0.75, 2.0, -2.4, 0.0),  # better than before by more than the range: nothing to gain
        (0.25, -2.0, 1.6, 0.0),  # a bad action made rarer by more than the range: nothing to gain
        (0.75, -2.0, 3.0, 3.0),  # a bad action made more likely: the loss is not clipped
        (0.25, 2.0, -1.0, -1.0),  # a good action made rarer: neither
    ],
)
def test_the_clipped_surrogate(probability: float, advantage: float, loss: float, gradient: float) -> None:
    found, slope = terms_of(probability, 0.5, advantage)
    assert found.item() == pytest.approx(loss)
    assert slope.item() == pytest.approx(gradient)
    assert gradient != 0 or slope.item() == 0


def test_diagnostics_by_hand() -> None:
    log_policy = two_action_policy(0.5, 0.75, 0.55).requires_grad_()
    old = torch.full((3,), math.log(0.5), dtype=torch.float64)
    terms = policy_terms(log_policy, torch.tensor([0, 0, 1]), old, torch.ones(3, dtype=torch.float64), 0.2)
    ratios = (1.0, 1.5, 0.9)  # the third took the second action
    assert terms.approx_kl.tolist() == pytest.approx([ratio - 1 - math.log(ratio) for ratio in ratios])
    assert terms.clipped.tolist() == [0, 1, 0]
    entropies = [-(p * math.log(p) + (1 - p) * math.log(1 - p)) for p in (0.5, 0.75, 0.55)]
    assert terms.entropy.tolist() == pytest.approx(entropies)
    assert terms.entropy.requires_grad
    assert not terms.approx_kl.requires_grad
    assert not terms.clipped.requires_grad


def test_absent_actions_add_nothing_to_entropy_or_gradient() -> None:
    plain = torch.tensor([[0.3, -0.2]], requires_grad=True)
    padded = torch.tensor([[0.3, -0.2, MASKED, MASKED]], requires_grad=True)
    found = []
    for scores in (plain, padded):
        log_policy = torch.log_softmax(scores, dim=1)
        terms = policy_terms(log_policy, torch.tensor([1]), torch.tensor([-0.5]), torch.tensor([2.0]), 0.2)
        (terms.loss + terms.entropy).sum().backward()
        found.append((terms.loss.item(), terms.entropy.item(), scores.grad[0, :2].tolist()))
    assert found[1][0] == pytest.approx(found[0][0])
    assert found[1][1] == pytest.approx(found[0][1])
    assert found[1][2] == pytest.approx(found[0][2])
    assert padded.grad[0, 2:].tolist() == [0, 0]
    alone = torch.log_softmax(torch.tensor([[1.0, MASKED]]), dim=1)
    one = torch.zeros(1)
    assert policy_terms(alone, torch.tensor([0]), one, one, 0.2).entropy.item() == 0


@pytest.mark.parametrize(
    ("value", "expected_plain", "expected_clipped"),
    [  # the old value is 1, the return 2, the clip range 0.2
        (1.1, 0.405, 0.405),  # within the range
        (1.9, 0.005, 0.32),  # nearer to the return than the clipped value 1.2: the clipped one counts
        (0.0, 2.0, 2.0),  # farther from the return than the clipped value 0.8: the value itself counts
    ],
)
def test_value_terms_by_hand(value: float, expected_plain: float, expected_clipped: float) -> None:
    old, returns = torch.tensor([1.0]), torch.tensor([2.0])
    assert value_terms(torch.tensor([value]), old, returns, 0.2, False).item() == pytest.approx(expected_plain)
    assert value_terms(torch.tensor([value]), old, returns, 0.2, True).item() == pytest.approx(expected_clipped)


@pytest.mark.parametrize("clip_vloss", [False, True])
def test_pairwise_value_terms_are_those_of_glams_shapes(clip_vloss: bool) -> None:
    values, old, returns = torch.randn(3, 6, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    column = values.unsqueeze(1)  # (n, 1) against (n,), written down as it stands there
    loss = (column - returns) ** 2
    if clip_vloss:
        loss = torch.maximum(loss, (old + (column - old).clamp(-0.2, 0.2) - returns) ** 2)
    terms = pairwise_value_terms(values, old, returns, 0.2, clip_vloss)
    assert terms.mean().item() == pytest.approx(0.5 * loss.mean().item())
    some = pairwise_value_terms(values[2:4], old, returns, 0.2, clip_vloss)  # a piece of the minibatch
    assert some.tolist() == pytest.approx(terms[2:4].tolist())
