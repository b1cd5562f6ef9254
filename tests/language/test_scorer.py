"""The engine against the oracle: equal log-probabilities, gradients and features, at a fraction of the tokens."""

from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_tools import DECISIONS, adapter, assert_close_gradients, assert_equal_scores, disturb_adapter, gradients, scorer
from transformers import AutoConfig

from twosome.errors import UserError
from twosome.language import norms, oracle, packed_linear, tiny
from twosome.language.config import ModelConfig
from twosome.language.engine import MASKED, Scores
from twosome.language.layout import padded_size
from twosome.language.loading import load_language_model
from twosome.language.lora import Lora
from twosome.language.scorer import Scorer

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


@pytest.mark.parametrize(("attention", "tokens"), [("sdpa", 700), ("eager", 256)])
def test_trees_are_small_only_where_attention_is_quadratic(attention: str, tokens: int) -> None:
    assert scorer(attn_implementation=attention, batch_tokens=700).row_tokens == tokens
    assert scorer(attn_implementation=attention, batch_tokens=700, row_tokens=90).row_tokens == 90


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_decisions_of_one_action(architecture: str) -> None:
    engine = known_scorer(architecture)
    texts = [("You", ("go",)), ("You see the", ("pancake",))]
    scores = engine.score(texts)
    assert torch.equal(scores.log_policy(), torch.zeros(2, 1))  # nothing to choose
    torch.testing.assert_close(scores.logprobs, oracle.score(engine, texts).logprobs, atol=1e-4, rtol=0)
    assert (scores.logprobs < -0.01).all()


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


def test_norms_divide_by_tokens_and_words() -> None:
    texts = [("You should", ("chop", "serve the dish", "unusual zebra"))]
    engine = known_scorer()
    tokens = torch.tensor([float(len(action)) for action in engine.tokenize(texts)[0].actions])
    assert len(set(tokens.tolist())) == 3
    plain = engine.score(texts)
    assert torch.equal(plain.scores, plain.logprobs)
    torch.testing.assert_close(known_scorer(norm="token").score(texts).scores[0], plain.logprobs[0] / tokens)
    words = torch.tensor([1.0, 3.0, 2.0])
    torch.testing.assert_close(known_scorer(norm="word").score(texts).scores[0], plain.logprobs[0] / words)


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


@pytest.mark.parametrize(("row_tokens", "batch_tokens"), [(1, 1), (60, 150), (384, 2048)])
def test_batches_cover_each_decision_once(row_tokens: int, batch_tokens: int) -> None:
    engine = scorer(row_tokens=row_tokens, batch_tokens=batch_tokens)
    texts = list(dict.fromkeys(DECISIONS))
    together = engine.score(texts)
    seen = []
    for indices, scores in engine.batches(texts):
        assert len(indices) == len(scores.scores) == len(scores.logprobs)
        for index, row in zip(indices, scores.logprobs, strict=True):
            actions = len(texts[index][1])
            torch.testing.assert_close(row[:actions], together.logprobs[index, :actions], atol=1e-5, rtol=0)
        seen += indices
    assert sorted(seen) == list(range(len(texts)))


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


def test_padded_sizes_are_few_and_near() -> None:
    sizes = {size: padded_size(size) for size in range(1, 1025)}
    assert all(size <= kept < 1.13 * size + 3 for size, kept in sizes.items())
    assert len(set(sizes.values())) == 48


def test_far_fewer_tokens_are_computed_than_by_the_oracle() -> None:
    engine = scorer()
    engine.score(DECISIONS)
    tree = engine.tokens_computed
    oracle.score(engine, DECISIONS)
    assert 0 < 2 * tree < engine.tokens_computed - tree


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


def test_low_precision_features_come_in_float32() -> None:
    engine = scorer(dtype="bfloat16")
    assert engine.features(PROMPTS).dtype == torch.float32
    assert engine.score(DECISIONS).scores.dtype == torch.float32


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


def test_a_decision_beyond_the_models_context_is_one_line() -> None:
    engine = known_scorer()
    limit = tiny.POSITIONS
    with pytest.raises(UserError) as caught:
        engine.score([("go " * limit + "left", ("go",))])
    assert "\n" not in str(caught.value)
    assert f"at most {limit}" in str(caught.value)


@pytest.mark.parametrize("option", ["row_tokens", "batch_tokens"])
def test_a_budget_of_no_tokens_is_an_error(option: str) -> None:
    with pytest.raises(UserError, match=f"{option}=0: expected a positive number"):
        scorer(**{option: 0})


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


# Any text at all: letters of all scripts, emoji, controls, spaces and line breaks in odd places; as many actions as there may be.
anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
anybodys = st.tuples(anything, st.lists(anything, min_size=1, max_size=7).map(tuple))


@settings(max_examples=60)
@given(texts=st.lists(anybodys, min_size=1, max_size=4))
def test_any_text_is_scored_or_refused_in_one_line(texts: list) -> None:
    engine = known_scorer("llama", "word")
    refused = None
    try:
        with torch.no_grad():
            scores = engine.score(texts)
    except UserError as error:
        refused = str(error)
    if refused is not None:
        assert "\n" not in refused
        assert "expected" in refused
        return
    policy = scores.log_policy().exp()
    assert scores.logprobs.shape == (len(texts), max(len(actions) for _, actions in texts))
    for (_, actions), row, logprobs in zip(texts, policy, scores.logprobs, strict=True):
        assert row[: len(actions)].isfinite().all()
        assert (logprobs[: len(actions)] <= 0).all()
        assert row[len(actions) :].eq(0).all()
        assert row.sum().item() == pytest.approx(1, abs=1e-5)
    assert engine.features([prompt for prompt, _ in texts]).isfinite().all()


@pytest.mark.parametrize("prompt", ["", " ", "\n\t"])
def test_features_of_a_blank_prompt_are_refused(prompt: str) -> None:
    with pytest.raises(UserError, match=r"expected a prompt that is not blank"):
        known_scorer().features(["You see", prompt])


def test_features_of_a_too_long_prompt_are_refused() -> None:
    with pytest.raises(UserError, match=r"3001 tokens, expected at most 2048 \(the model's context\); shorten the prompt"):
        known_scorer().features(["a" * 3000])
