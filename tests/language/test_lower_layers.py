"""With adapters on the last layers only, the layers below are computed once: the same results, for less."""

import pytest
import torch
from scoring_tools import DECISIONS, assert_close_gradients, disturb_adapter, gradients

from twosome.errors import UserError
from twosome.language import norms, oracle, tiny
from twosome.language.config import ModelConfig
from twosome.language.gate import engine_of
from twosome.language.loading import LanguageModel, load_language_model
from twosome.language.lora import Lora
from twosome.language.lower_layers import LowerLayers, frozen_depth
from twosome.language.scorer import Scorer

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
    engine = scorer(loaded())
    assert engine.lower is not None
    engine.score(DECISIONS)
    lower, total = engine.lower.tokens, engine.tokens_computed
    assert lower > 0
    engine.score(DECISIONS[::-1])
    assert engine.lower.tokens == lower
    assert engine.tokens_computed == 2 * total  # which does not depend on what the cache holds


@pytest.mark.parametrize("beside", [DECISIONS[:1], DECISIONS[1:], DECISIONS[::-1]])
def test_what_is_kept_does_not_depend_on_the_batch_nor_on_evictions(beside: list) -> None:
    """So a resumed run, which starts with an empty cache, computes the same bytes."""
    lm = loaded()
    one, other = scorer(lm), scorer(lm)
    assert other.lower
    one.score(DECISIONS)
    other.lower.known.size = 1  # everything is evicted at once
    other.score(beside)
    other.score(DECISIONS)
    assert (len(other.lower.known), other.lower.known.used) == (0, 0)
    assert torch.equal(one.score(DECISIONS).logprobs, other.score(DECISIONS).logprobs)


def test_the_cache_is_bounded() -> None:
    engine = scorer(loaded())
    assert engine.lower
    engine.score(DECISIONS)
    whole = engine.lower.known.used
    assert whole == sum(value.nbytes for value in engine.lower.known.state().values())
    engine.lower.known.size = whole // 2
    engine.score(DECISIONS[:1])
    engine.score([("A new prompt", ("go", "stop"))])
    assert 0 < engine.lower.known.used <= whole // 2
    assert engine.lower.known.used == sum(value.nbytes for value in engine.lower.known.state().values())


@pytest.mark.parametrize(("layers", "depth"), [(None, 0), (1, 1), ("half", 1), (2, 0)])
def test_depth(layers: int | str | None, depth: int) -> None:
    assert frozen_depth(loaded(layers=layers)) == depth


def test_nothing_is_cached_where_nothing_learns_or_the_embedding_does() -> None:
    assert frozen_depth(load_language_model(ModelConfig(source="tiny_random"))) == 0
    lm = loaded()
    lm.base.get_input_embeddings().weight.requires_grad_(True)
    assert frozen_depth(lm) == 0


@pytest.mark.parametrize("layers", [0, 3, "third"])
def test_a_number_of_layers_that_the_model_lacks(layers: int | str) -> None:
    with pytest.raises(UserError, match=rf"tuning\.layers={layers}: .*(above 0|has 2 layers)"):
        loaded(layers=layers)


def test_a_model_that_cannot_be_entered_in_the_middle_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    enter = LowerLayers._enter
    monkeypatch.setattr(LowerLayers, "_enter", lambda self, *given: enter(self, *given) if self._stopping else None)
    lm = loaded()
    engine = engine_of(lm, norms.token)
    assert isinstance(engine, Scorer)
    assert (engine.lower, lm.check and lm.check.lower_layers) == (None, 0)
