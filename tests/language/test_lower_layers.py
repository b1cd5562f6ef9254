"""With adapters on the last layers only, the layers below are computed once: the same results, for less."""

import pytest
import torch
from scoring_tools import DECISIONS, assert_close_gradients, disturb_adapter, gradients

import oracle
from twosome.errors import UserError
from twosome.language import norms, tiny
from twosome.language.cpu import lower_layers
from twosome.language.gate import engine_of
from twosome.language.loading import LanguageModel, ModelConfig, frozen_depth, load_language_model
from twosome.language.scorer import Scorer
from twosome.language.tuning import Lora

PROMPTS = [prompt for prompt, _ in DECISIONS]
architectures = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)


def loaded(architecture: str = "llama", layers: int | None = 1, **options: str) -> LanguageModel:
    """A tiny model with a disturbed adapter on its last layers."""
    config = ModelConfig(source="tiny_random", architecture=architecture, device="cpu", **options)
    lm = load_language_model(config, Lora(layers=layers))
    disturb_adapter(lm.model)
    return lm


def scorer(lm: LanguageModel, **options: int) -> Scorer:
    return Scorer(lm, norms.token, **{"row_tokens": 60, "batch_tokens": 150, **options})


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@architectures
def test_the_cache_changes_nothing(architecture: str, attention: str) -> None:
    lm = loaded(architecture, attn_implementation=attention)
    cached, plain = scorer(lm), scorer(lm, cache_mb=0)
    assert cached.lower is not None
    assert plain.lower is None
    for _ in range(2):  # computed, then from the cache
        one, other = cached.score(DECISIONS), plain.score(DECISIONS)
        for found, expected in zip(one, other, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5, equal_nan=True)
        losses = [gradients(lm.model, scores.log_policy()[:, 0].exp().sum()) for scores in (one, other)]
        assert_close_gradients(*losses)
        torch.testing.assert_close(cached.features(PROMPTS), plain.features(PROMPTS), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cached.features(PROMPTS), oracle.features(plain, PROMPTS), atol=1e-4, rtol=0)


def test_lower_layers_compute_each_decision_once() -> None:
    engine, lengths = scorer(loaded()), []
    assert engine.lower is not None
    engine.backbone.layers[0].register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[1]))
    engine.score(DECISIONS)
    number, total = len(lengths), engine.tokens_computed
    assert number == len(set(DECISIONS))
    engine.score(DECISIONS[::-1])
    assert len(lengths) == number
    assert engine.tokens_computed == 2 * total  # which does not depend on what the cache holds


@pytest.mark.parametrize("beside", [DECISIONS[:1], DECISIONS[1:], DECISIONS[::-1]])
def test_what_is_kept_does_not_depend_on_the_batch_nor_on_evictions(beside: list) -> None:
    """So a resumed run, which starts with an empty cache, computes the same bytes."""
    lm = loaded()
    one, other = scorer(lm), scorer(lm)
    assert other.lower
    one.score(DECISIONS)
    other.lower.cache.size = 1  # everything is evicted at once
    other.score(beside)
    other.score(DECISIONS)
    assert (len(other.lower.cache), other.lower.cache.used) == (0, 0)
    assert torch.equal(one.score(DECISIONS).logprobs, other.score(DECISIONS).logprobs)


@pytest.mark.parametrize(("layers", "depth"), [(None, 0), (1, 1), ("half", 1), (2, 0)])
def test_depth(layers: int | str | None, depth: int) -> None:
    assert frozen_depth(loaded(layers=layers)) == depth


def test_nothing_is_cached_where_nothing_learns_or_the_embedding_does() -> None:
    assert frozen_depth(load_language_model(ModelConfig(source="tiny_random"))) == 0
    lm = loaded()
    lm.base.get_input_embeddings().weight.requires_grad_(True)
    assert frozen_depth(lm) == 0


def test_a_number_of_layers_that_the_model_lacks() -> None:
    with pytest.raises(UserError, match=r"tuning\.layers=3: llama has 2 layers"):
        loaded(layers=3)


def test_a_model_that_cannot_be_entered_in_the_middle_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower_layers._Entry, "forward", lambda self, hidden, *_, **__: hidden)
    lm = loaded()
    engine = engine_of(lm, norms.token)
    assert isinstance(engine, Scorer)
    assert (engine.lower, lm.check and lm.check.lower_layers) == (None, 0)
