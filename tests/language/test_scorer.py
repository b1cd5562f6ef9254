"""The engine against the oracle: equal log-probabilities, gradients and features, at a fraction of the tokens."""

from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_tools import DECISIONS, adapter, assert_close_gradients, assert_equal_scores, disturb_adapter, gradients, scorer
from transformers import AutoConfig

import oracle
from twosome.language import norms, tiny
from twosome.language.cpu import packed_linear
from twosome.language.engine import MASKED, Scores
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.scorer import Scorer
from twosome.language.tree import padded_size
from twosome.language.tuning import Lora

architectures = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
PROMPTS = [prompt for prompt, _ in DECISIONS]


@cache
def known_scorer(architecture: str = "llama", norm: str = "none", row_tokens: int = 384) -> Scorer:
    """For tests that change nothing."""
    return scorer(architecture, norm, row_tokens=row_tokens, batch_tokens=2 * row_tokens)


def assert_agree(engine: Scorer, texts: list, padding_side: str = "right") -> None:
    """Log-probabilities, scores and policies are the oracle's; so is the gradient of a weighted sum of the policies."""
    assert_equal_scores(engine.lm.model, engine.score(texts), oracle.score(engine, texts, padding_side))


@pytest.mark.parametrize("padding_side", ["left", "right"])
@pytest.mark.parametrize("norm", ["none", "token", "word"])
@architectures
def test_the_engine_is_the_oracle(architecture: str, norm: str, padding_side: str) -> None:
    assert_agree(known_scorer(architecture, norm), DECISIONS, padding_side)


@pytest.mark.parametrize(("row_tokens", "batch_tokens"), [(1, 1), (40, 40), (40, 100), (60, 1000), (384, 2048)])
def test_neither_rows_nor_batches_change_anything(row_tokens: int, batch_tokens: int) -> None:
    engine = scorer("qwen2", "token", row_tokens=row_tokens, batch_tokens=batch_tokens)
    assert_agree(engine, DECISIONS)


@pytest.mark.parametrize(("attention", "in_blocks"), [("eager", False), ("sdpa", False), ("sdpa", True)])
@architectures
def test_all_ways_to_attend_agree(architecture: str, attention: str, in_blocks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = scorer(architecture, attn_implementation=attention, row_tokens=60, batch_tokens=150)
    assert engine.in_blocks == (attention == "sdpa")  # on a CPU
    monkeypatch.setattr(Scorer, "in_blocks", in_blocks)
    assert_agree(engine, DECISIONS)
    torch.testing.assert_close(engine.features(PROMPTS), oracle.features(engine, PROMPTS), atol=1e-4, rtol=0)


def test_slots_beyond_a_decisions_actions_are_masked() -> None:
    scores = known_scorer(norm="word").score(DECISIONS)
    for (_, actions), logprobs, values in zip(DECISIONS, scores.logprobs, scores.scores, strict=True):
        assert (logprobs[: len(actions)] > -1e4).all()
        assert (logprobs[len(actions) :] == MASKED).all()
        assert (values[len(actions) :] == MASKED).all()
    policy = scores.log_policy()
    assert policy.isfinite().all()
    torch.testing.assert_close(policy.exp().sum(dim=1), torch.ones(len(DECISIONS)))
    assert not torch.isnan(policy.exp() * policy).any()


def test_a_duplicate_costs_nothing_and_its_gradient_counts_twice() -> None:
    engine = known_scorer()

    def cost(texts: list) -> tuple[int, Scores]:
        before = engine.tokens_computed
        scores = engine.score(texts)
        return engine.tokens_computed - before, scores

    once, one = cost(DECISIONS[:2])
    twice, two = cost([DECISIONS[1], *DECISIONS[:2], DECISIONS[0]])
    assert twice == once > 0
    assert torch.equal(two.scores, one.scores[[1, 0, 1, 0]])
    real = one.scores > MASKED
    single = gradients(engine.lm.model, one.scores[real].sum())
    double = gradients(engine.lm.model, two.scores[two.scores > MASKED].sum())
    assert_close_gradients(double, {name: 2 * gradient for name, gradient in single.items()})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_few_numbers_of_rows_meet_a_frozen_weight(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN keeps kernels for each that it has multiplied with one."""
    engine, seen = scorer(dtype=dtype), set()
    multiply = packed_linear._multiply
    monkeypatch.setattr(packed_linear, "_multiply", lambda x, *rest: seen.add(x.numel() // x.shape[-1]) or multiply(x, *rest))
    for module in engine.lm.model.modules():
        if isinstance(module, torch.nn.Linear) and not module.weight.requires_grad:
            module.register_forward_hook(lambda _, inputs, output: seen.add(output.numel() // output.shape[-1]))
    for number in range(30):
        prompt = "You should first " + "go left " * number + "now"
        engine.score([(prompt, (prompt, "serve the dish"))]).scores.sum().backward()
        engine.features([prompt])
    assert len(seen) > 10
    assert all(padded_size(rows) == rows for rows in seen)


@architectures
def test_features_are_the_frozen_models_at_the_prompts_last_token(architecture: str) -> None:
    engine = scorer(architecture, disturbed=False, row_tokens=30, batch_tokens=60)
    clean = engine.features(PROMPTS)
    torch.testing.assert_close(clean, oracle.features(engine, PROMPTS), atol=1e-4, rtol=0)
    for prompt, row in zip(PROMPTS, clean, strict=True):  # alone, so without any padding, and with the adapter at zero
        ids = torch.tensor([engine.lm.tokenizer(prompt)["input_ids"]])
        alone = engine.backbone(input_ids=ids).last_hidden_state[0, -1]
        torch.testing.assert_close(row, alone, atol=1e-4, rtol=0)
    assert clean.dtype == torch.float32
    assert not clean.requires_grad
    before = engine.score(DECISIONS).scores
    disturb_adapter(engine.lm.model)
    assert not torch.allclose(engine.score(DECISIONS).scores, before, atol=1e-2)  # it matters to the scores ...
    assert torch.equal(engine.features(PROMPTS), clean)  # ... but not to the features


def test_soft_capped_logits(tmp_path: Path) -> None:
    """Gemma 2 bounds its logits after the projection, which the engine does itself."""
    tokenizer = tiny.build_tokenizer("gemma")
    tokenizer.save_pretrained(tmp_path)
    sizes = {**tiny.ARCHITECTURES["gemma"], "vocab_size": len(tokenizer), "initializer_range": 0.5, "pad_token_id": 0}
    capped = AutoConfig.for_model("gemma2", final_logit_softcapping=2.0, architectures=["Gemma2ForCausalLM"], **sizes)
    capped.save_pretrained(tmp_path)
    options = {"source": "hf", "path": str(tmp_path), "random": True, "attn_implementation": "eager", "device": "cpu"}
    language = load_language_model(ModelConfig(**options), Lora())
    disturb_adapter(language.model)
    assert_agree(Scorer(language, norms.token), DECISIONS)


def test_no_gradient_reaches_the_frozen_weights() -> None:
    engine = scorer()
    scores = engine.score(DECISIONS).scores
    scores[scores > MASKED].sum().backward()
    with_gradient = {name for name, value in engine.lm.model.named_parameters() if value.grad is not None}
    assert with_gradient == set(adapter(engine.lm.model))


words = st.text("abcdetomw", min_size=1, max_size=6)
phrases = st.lists(words, min_size=1, max_size=4).map(" ".join)
decisions = st.tuples(phrases, st.lists(phrases, min_size=1, max_size=4, unique=True).map(tuple))


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@settings(max_examples=25)
@given(
    texts=st.lists(decisions, min_size=1, max_size=5),
    row_tokens=st.sampled_from([1, 12, 384]),
    norm=st.sampled_from(["none", "token", "word"]),
)
def test_any_decisions_agree(architecture: str, texts: list, row_tokens: int, norm: str) -> None:
    engine = known_scorer(architecture, norm, row_tokens)
    with torch.no_grad():
        found, expected = engine.score(texts), oracle.score(engine, texts)
    torch.testing.assert_close(found.logprobs, expected.logprobs, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=0)
