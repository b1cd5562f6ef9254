"""The engine on each device, in each precision, against the oracle."""

import pytest
import torch
from devices import devices
from scoring_tools import DECISIONS, gradients, scorer

import oracle
from twosome.language import tiny
from twosome.language.engine import MASKED, Scores
from twosome.language.scorer import Scorer

# How far a log-probability or a feature may be from the oracle's, and a gradient, as a share of its norm.
TOLERANCES = {"float32": (1e-4, 1e-4), "bfloat16": (0.2, 0.1)}


def loss(scores: Scores) -> torch.Tensor:
    """A sum of the policies and the scores, each action's with a weight of its own."""
    weights = torch.rand(scores.scores.shape, generator=torch.Generator().manual_seed(3)).to(scores.scores.device)
    real = scores.scores > MASKED
    return (weights * scores.log_policy().exp() * real).sum() + 0.1 * (weights * scores.scores)[real].sum()


def assert_agree(found: tuple[Scorer, Scores], expected: tuple[Scorer, Scores], dtype: str) -> None:
    """Log-probabilities and gradients are the same on whatever device, to within what the precision allows."""
    logprob, share = TOLERANCES[dtype]
    torch.testing.assert_close(found[1].logprobs.cpu(), expected[1].logprobs.cpu(), atol=logprob, rtol=0)
    torch.testing.assert_close(found[1].prompt_states.cpu(), expected[1].prompt_states.cpu(), atol=logprob, rtol=0)
    one, other = (gradients(engine.lm.model, loss(scores)) for engine, scores in (found, expected))
    for name, gradient in other.items():
        assert gradient.norm() > 0, name
        assert (one[name].cpu() - gradient.cpu()).norm() <= share * gradient.norm(), name


@devices
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_the_engine_is_the_oracle_in_either_precision(architecture: str, dtype: str, device: str) -> None:
    engine = scorer(architecture, "word", device=device, dtype=dtype, row_tokens=60, batch_tokens=150)
    assert engine.device.type == device
    assert_agree((engine, engine.score(DECISIONS)), (engine, oracle.score(engine, DECISIONS)), dtype)
    plain = scorer(architecture, "word")
    assert_agree((engine, engine.score(DECISIONS)), (plain, oracle.score(plain, DECISIONS)), dtype)
    prompts = [prompt for prompt, _ in DECISIONS]
    expected = oracle.features(plain, prompts)
    torch.testing.assert_close(engine.features(prompts).cpu(), expected, atol=TOLERANCES[dtype][0], rtol=0)
