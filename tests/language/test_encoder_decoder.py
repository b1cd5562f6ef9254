"""The engine of encoder-decoder models against one row per action: equal log-probabilities, gradients and features."""

from typing import Any

import pytest
import torch
from encoder_decoder_tools import assert_agree, known, load, oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_tools import DECISIONS, adapter, assert_close_gradients, disturb_adapter, gradients

from twosome.language import norms
from twosome.language.config import ENCODER_DECODERS, ModelConfig
from twosome.language.encoder_decoder import EncoderDecoderScorer
from twosome.language.full import Full
from twosome.language.layout import padded_size
from twosome.language.loading import load_language_model
from twosome.language.lora import Lora

PROMPTS = [prompt for prompt, _ in DECISIONS]
MANY = ("You should", tuple(f"go {'left ' * (number % 7)}{number}" for number in range(60)))
architectures = pytest.mark.parametrize("architecture", ENCODER_DECODERS)


@pytest.mark.parametrize("norm", ["none", "token", "word"])
@architectures
def test_the_engine_is_the_oracle(architecture: str, norm: str) -> None:
    assert_agree(known(architecture, norm), DECISIONS)


@pytest.mark.parametrize("options", [{"attn_implementation": "eager"}, {"packed_weights": False}])
@architectures
def test_neither_attention_nor_packing_changes_anything(architecture: str, options: dict[str, Any]) -> None:
    assert_agree(EncoderDecoderScorer(load(architecture, **options), norms.word), DECISIONS)


@architectures
def test_all_weights_get_their_gradients(architecture: str) -> None:
    """Of T5 also the table of relative positions, of BART the positions' embeddings."""
    engine = EncoderDecoderScorer(load(architecture, Full()), norms.token)
    found, expected = (
        gradients(engine.lm.model, scores.tokens.nansum()) for scores in (engine.score(DECISIONS), oracle(engine, DECISIONS))
    )
    moved = {name for name, gradient in expected.items() if gradient.norm() > 1e-3}
    assert any("relative_attention_bias" in name or "embed_positions" in name for name in moved if "decoder" in name)
    assert_close_gradients({name: found[name] for name in moved}, {name: expected[name] for name in moved}, 1e-3)


@architectures
def test_any_number_of_actions_fits_in_one_tree(architecture: str) -> None:
    language = load(architecture)
    engine = EncoderDecoderScorer(language, norms.none, batch_tokens=40)
    engine.tokenize.max_length = 40  # less than the nodes of the tree
    assert_agree(engine, [MANY, DECISIONS[0]])


@pytest.mark.parametrize("batch_tokens", [1, 60, 150, 10_000])
def test_batches_are_under_the_budget_and_cover_each_decision_once(batch_tokens: int) -> None:
    engine, texts = known(batch_tokens=batch_tokens), list(dict.fromkeys(DECISIONS))
    together, seen, before = known().score(texts), [], engine.tokens_computed
    for indices, scores in engine.batches(texts):
        spent, before = engine.tokens_computed - before, engine.tokens_computed
        assert spent <= batch_tokens or len({texts[index][0] for index in indices}) == 1
        for index, row in zip(indices, scores.logprobs, strict=True):
            actions = len(texts[index][1])
            torch.testing.assert_close(row[:actions], together.logprobs[index, :actions], atol=1e-4, rtol=0)
        seen += indices
    assert sorted(seen) == list(range(len(texts)))


def test_a_prompt_is_encoded_once_and_in_few_sizes() -> None:
    engine, rows = EncoderDecoderScorer(load(), norms.none, 200), []
    sizes = {engine.lm.base.get_encoder(): set(), engine.lm.base.get_decoder(): set()}
    for part, seen in sizes.items():
        part.register_forward_hook(lambda _, __, output, seen=seen: seen.add(output.last_hidden_state.shape[:2].numel()))
    engine.lm.base.get_encoder().register_forward_pre_hook(
        lambda _, __, given: rows.extend(map(tuple, given["input_ids"].tolist())), with_kwargs=True
    )
    with torch.no_grad():
        engine.score(DECISIONS)
        assert len(rows) == len(set(rows)) == len(set(PROMPTS))
        for number in range(2, 20, 3):
            engine.score([(f"{number} plates on " + "the table " * other, MANY[1][:number]) for other in range(number)])
    assert all(padded_size(size) == size for seen in sizes.values() for size in seen)
    assert min(map(len, sizes.values())) > 3


@architectures
def test_features_are_the_decoders_first_state_before_training(architecture: str) -> None:
    language = load_language_model(ModelConfig(source="tiny_random", architecture=architecture, device="cpu"), Lora())
    engine = EncoderDecoderScorer(language, norms.none, 100)
    clean, before = engine.features(PROMPTS), engine.score(DECISIONS)
    torch.testing.assert_close(clean, before.prompt_states, atol=1e-4, rtol=0)
    torch.testing.assert_close(clean, oracle(engine, DECISIONS).prompt_states, atol=1e-4, rtol=0)
    assert clean.dtype == torch.float32
    assert not clean.requires_grad
    disturb_adapter(language.model)
    assert not torch.allclose(engine.score(DECISIONS).prompt_states, clean, atol=1e-2)
    assert torch.equal(engine.features(PROMPTS), clean)


def test_no_gradient_reaches_the_frozen_weights_and_low_precision_gives_float32() -> None:
    engine = EncoderDecoderScorer(load(dtype="bfloat16"), norms.none)
    scores = engine.score(DECISIONS)
    assert scores.scores.dtype == scores.prompt_states.dtype == engine.features(PROMPTS).dtype == torch.float32
    scores.tokens.nansum().backward()
    with_gradient = {name for name, value in engine.lm.model.named_parameters() if value.grad is not None}
    assert with_gradient == set(adapter(engine.lm.model))
    torch.testing.assert_close(scores.tokens, known().score(DECISIONS).tokens, atol=0.5, rtol=0, equal_nan=True)


words = st.text("abcdetomw", min_size=1, max_size=6)
phrases = st.lists(words, min_size=1, max_size=4).map(" ".join)
decisions = st.tuples(phrases, st.lists(phrases, min_size=1, max_size=4, unique=True).map(tuple))


@architectures
@settings(max_examples=8)
@given(texts=st.lists(decisions, min_size=1, max_size=5), batch_tokens=st.sampled_from([1, 64, None]))
def test_any_decisions_agree(architecture: str, texts: list, batch_tokens: int | None) -> None:
    engine = known(architecture, "token", batch_tokens)
    with torch.no_grad():
        found, expected = engine.score(texts), oracle(engine, texts)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0, equal_nan=True)
