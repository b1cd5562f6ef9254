"""The opponent with a key-value cache computes what the engine computes, from fewer tokens than a row per action."""

import pytest
import torch
from scoring_tools import DECISIONS, assert_close_gradients, gradients, scorer

from twosome.benchmark.cached import CachedEngine
from twosome.language import oracle, tiny
from twosome.language.engine import MASKED, Engine

PROMPTS = [prompt for prompt, _ in DECISIONS]


def gradient(engine: Engine) -> dict[str, torch.Tensor]:
    """The gradient of a weighted sum of the policies, batch by batch."""
    total: dict[str, torch.Tensor] = {}
    weights = torch.rand(len(DECISIONS), 4, generator=torch.Generator().manual_seed(3))
    for indices, scores in engine.batches(DECISIONS):
        real = scores.scores > MASKED
        loss = (weights[indices, : real.shape[1]] * scores.log_policy().exp() * real).sum()
        for name, part in gradients(engine.lm.model, loss).items():
            total[name] = total.get(name, 0) + part
    return total


@pytest.mark.parametrize(("architecture", "size"), [*((name, 3) for name in tiny.ARCHITECTURES), ("llama", 1), ("llama", 100)])
def test_it_is_the_engine(architecture: str, size: int) -> None:
    engine = scorer(architecture, "word")
    engine.token_states = False
    cached = CachedEngine(engine.lm, engine.norm, size)
    for one, other in zip(cached.score(DECISIONS), engine.score(DECISIONS), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0, equal_nan=True)
    assert_close_gradients(gradient(cached), gradient(engine))
    torch.testing.assert_close(cached.features(PROMPTS), engine.features(PROMPTS), atol=1e-4, rtol=0)


def test_prompts_are_computed_once_and_predictions_only_where_needed() -> None:
    engine = scorer()
    cached = CachedEngine(engine.lm, engine.norm, 1)  # no padding of prompts
    (decision,) = engine.tokenize(DECISIONS[:1])
    cached.score(DECISIONS[:1])
    inputs = [len(action) - 1 for action in decision.actions]
    longer = [length for length in inputs if length]
    assert cached.tokens_computed == len(decision.prompt) + len(longer) * max(longer)
    assert cached.tokens_projected == 1 + sum(inputs)
    engine.tokens_computed = 0
    oracle.score(engine, DECISIONS[:1])
    assert cached.tokens_computed < engine.tokens_computed / 2


def test_actions_of_one_token_need_no_second_batch() -> None:
    engine = scorer("gpt2")
    texts = [("You notice", ("a", "the"))]
    assert {len(action) for action in engine.tokenize(texts)[0].actions} == {1}
    cached = CachedEngine(engine.lm, engine.norm, 4)
    torch.testing.assert_close(cached.score(texts).logprobs, engine.score(texts).logprobs, atol=1e-4, rtol=0)
