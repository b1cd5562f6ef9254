"""The engine of encoder-decoder models against one row per action: equal log-probabilities, gradients and features."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_tools import DECISIONS, adapter, assert_close_gradients, disturb_adapter, gradients
from tokenizers import pre_tokenizers
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModelForSeq2SeqLM, PreTrainedTokenizerBase, T5Tokenizer

from twosome.errors import UserError
from twosome.language import norms, tiny
from twosome.language.config import ENCODER_DECODERS, ModelConfig
from twosome.language.encoder_decoder import EncoderDecoderScorer
from twosome.language.engine import MASKED, Scores
from twosome.language.full import Full
from twosome.language.layout import padded_size
from twosome.language.loading import LanguageModel, load_language_model
from twosome.language.lora import Lora
from twosome.language.scorer import Scorer
from twosome.language.tuning import Frozen, Tuning

PROMPTS = [prompt for prompt, _ in DECISIONS]
MANY = ("You should", tuple(f"go {'left ' * (number % 7)}{number}" for number in range(90)))
architectures = pytest.mark.parametrize("architecture", ENCODER_DECODERS)


def load(architecture: str = "t5", tuning: Tuning | None = None, **options: Any) -> LanguageModel:
    """A tiny model with a LoRA adapter that matters, unless tuning is given; options: of ModelConfig."""
    options = {"source": "tiny_random", "architecture": architecture, "device": "cpu"} | options
    language = load_language_model(ModelConfig(**options), tuning or Lora())
    disturb_adapter(language.model)
    return language


@cache
def known(architecture: str = "t5", norm: str = "none", batch_tokens: int | None = None) -> EncoderDecoderScorer:
    """For tests that change nothing."""
    return EncoderDecoderScorer(load(architecture), getattr(norms, norm), batch_tokens)


def oracle(engine: EncoderDecoderScorer, texts: list) -> Scores:
    """One row per action in the encoder and in the decoder, by the model's own forward pass."""
    tokenizer, model = engine.lm.tokenizer, engine.lm.model
    specials = set(tokenizer("")["input_ids"])
    begin = [token for token in tokenizer("")["input_ids"] if token == tokenizer.bos_token_id]
    start = [engine.lm.base.config.decoder_start_token_id, *begin]
    rows = [(prompt, action) for prompt, actions in texts for action in actions]
    prompts = [torch.tensor(begin + [t for t in tokenizer(prompt)["input_ids"] if t not in specials]) for prompt, _ in rows]
    targets = [[token for token in tokenizer(action)["input_ids"] if token not in specials] for _, action in rows]
    mask = pad_sequence([torch.ones_like(prompt) for prompt in prompts], batch_first=True)
    inputs = pad_sequence([torch.tensor(start + target[:-1]) for target in targets], batch_first=True)
    output = model(
        input_ids=pad_sequence(prompts, batch_first=True),
        attention_mask=mask,
        decoder_input_ids=inputs,
        output_hidden_states=True,
        use_cache=False,
    )
    logprobs = output.logits.float().log_softmax(dim=-1)
    steps, width = max(map(len, targets)), max(len(actions) for _, actions in texts)
    tokens = torch.full((len(texts), width, steps), torch.nan)
    totals = torch.full((len(texts), width), MASKED)
    scores, states, row = totals.clone(), [], 0
    for d, (_, actions) in enumerate(texts):
        states.append(output.decoder_hidden_states[-1][row, len(start) - 1].float())
        for a, action in enumerate(actions):
            target = torch.tensor(targets[row])
            tokens[d, a, : len(target)] = terms = logprobs[row, len(start) - 1 :].gather(1, target[:, None])[: len(target), 0]
            totals[d, a] = terms.sum()
            scores[d, a] = terms.sum() / engine.norm(action, len(target))
            row += 1
    return Scores(totals, scores, torch.stack(states), tokens)


def assert_agree(engine: EncoderDecoderScorer, texts: list) -> None:
    """Scores, states and policies are the oracle's, and so is the gradient of a sum of all of them."""
    found, expected = engine.score(texts), oracle(engine, texts)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0, equal_nan=True)
    torch.testing.assert_close(found.log_policy(), expected.log_policy(), atol=1e-4, rtol=0)
    losses = []
    for scores in (found, expected):
        weights = torch.rand(scores.scores.shape, generator=torch.Generator().manual_seed(3))
        real = scores.scores > MASKED
        mixture = (weights * scores.log_policy().exp() * real).sum() + 0.1 * (weights * scores.scores)[real].sum()
        losses.append(gradients(engine.lm.model, mixture + scores.prompt_states.square().mean()))
    assert_close_gradients(*losses)


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
    found, expected = (gradients(engine.lm.model, way(DECISIONS).tokens.nansum()) for way in (engine.score, partial_oracle(engine)))
    moved = {name for name, gradient in expected.items() if gradient.norm() > 1e-3}
    assert any("relative_attention_bias" in name or "embed_positions" in name for name in moved if "decoder" in name)
    assert_close_gradients({name: found[name] for name in moved}, {name: expected[name] for name in moved}, 1e-3)


def partial_oracle(engine: EncoderDecoderScorer) -> Any:
    return lambda texts: oracle(engine, texts)


FAMILIES = {
    "original t5": ("t5", {"feed_forward_proj": "relu", "tie_word_embeddings": True}),
    "other depths": ("t5", {"num_decoder_layers": 1, "relative_attention_num_buckets": 4, "relative_attention_max_distance": 5}),
    "scaled bart": ("bart", {"scale_embedding": True, "decoder_layers": 1}),
}


@pytest.mark.parametrize(("architecture", "options"), FAMILIES.values(), ids=FAMILIES)
def test_families(architecture: str, options: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = tiny.build_tokenizer(architecture)
    tokenizer.save_pretrained(tmp_path)
    config = tiny.build_config(architecture, tokenizer)
    values = config.to_dict() | {"tie_word_embeddings": architecture != "t5"} | options
    AutoConfig.for_model(**values).save_pretrained(tmp_path)
    language = load("", source="hf", path=str(tmp_path), random=True)
    if architecture == "bart":
        language.base.final_logits_bias.normal_()
    else:
        assert language.base.config.scale_decoder_outputs == options.get("tie_word_embeddings", False)
    assert_agree(EncoderDecoderScorer(language, norms.none), DECISIONS)


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
    sizes = engine._sizes([])
    for indices, scores in engine.batches(texts):
        spent, before = engine.tokens_computed - before, engine.tokens_computed
        assert spent <= batch_tokens or len({texts[index][0] for index in indices}) == 1
        for index, row in zip(indices, scores.logprobs, strict=True):
            actions = len(texts[index][1])
            torch.testing.assert_close(row[:actions], together.logprobs[index, :actions], atol=1e-4, rtol=0)
        seen += indices
    assert sorted(seen) == list(range(len(texts)))
    assert sizes


def test_a_prompt_is_encoded_once_and_in_few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
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
        for number in range(1, 20):
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
@settings(max_examples=20)
@given(texts=st.lists(decisions, min_size=1, max_size=5), batch_tokens=st.sampled_from([1, 64, None]))
def test_any_decisions_agree(architecture: str, texts: list, batch_tokens: int | None) -> None:
    engine = known(architecture, "token", batch_tokens)
    with torch.no_grad():
        found, expected = engine.score(texts), oracle(engine, texts)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0, equal_nan=True)


def t5_tokenizer() -> PreTrainedTokenizerBase:
    """Transformers' own tokenizer of the T5 family, with the words of tiny.CORPUS."""
    pieces = [f"▁{word}" for word in sorted({word.strip(".,") for word in tiny.CORPUS.split()})]
    letters = ["▁", *sorted(set("".join(pieces)) - {"▁"})]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary += [(piece, -5.0) for piece in pieces if len(piece) > 2] + [(letter, -12.0) for letter in letters]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0)


def test_a_flan_t5_folder_is_loaded_tuned_and_exported(tmp_path: Path) -> None:
    """As on the hub: T5's own tokenizer, weights in shards."""
    tokenizer, folder = t5_tokenizer(), tmp_path / "flan"
    tokenizer.save_pretrained(folder)
    config = tiny.build_config("t5", tokenizer)
    model = AutoModelForSeq2SeqLM.from_config(config)
    model.save_pretrained(folder, max_shard_size="50KB")
    language = load("", Full(), source="hf", path=str(folder))
    assert torch.equal(language.base.shared.weight, model.shared.weight)
    engine = EncoderDecoderScorer(language, norms.none)
    (decision,) = engine.tokenize([("You see  the microwave \n", ("open the microwave",))])
    assert decision.prompt == tuple(tokenizer("You see the microwave")["input_ids"][:-1])  # GLAM: no end token
    assert tokenizer.convert_ids_to_tokens(list(decision.actions[0])) == ["▁open", "▁the", "▁microwave"]
    assert_agree(engine, DECISIONS)
    optimizer = torch.optim.Adam(engine.lm.learned(), 1e-2)
    engine.score(DECISIONS).tokens.nansum().backward()
    optimizer.step()
    engine.lm.tuning.export(language.model, tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    again = EncoderDecoderScorer(load("", Full(), source="hf", path=str(tmp_path / "model")), norms.none)
    assert torch.equal(again.score(DECISIONS).logprobs, engine.score(DECISIONS).logprobs)
    engine.lm.tuning.load(load("", Full(), source="hf", path=str(folder)).model, tmp_path / "model")


def test_exported_bart_keeps_the_bias_of_its_logits(tmp_path: Path) -> None:
    language, other = load("bart", Full()), load("bart", Full())
    language.base.final_logits_bias.normal_()
    language.tuning.export(language.model, tmp_path / "model")
    alone = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model")
    other.tuning.load(other.model, tmp_path / "model")
    for found in (alone, other.base):
        assert all(torch.equal(value, found.state_dict()[name]) for name, value in language.base.state_dict().items())


@pytest.mark.parametrize(
    ("scorer", "architecture", "line"),
    [
        (Scorer, "t5", "engine=decoder_only: the model tiny_random/t5 (t5) is an encoder-decoder model, .* engine=encoder_decoder"),
        (EncoderDecoderScorer, "llama", "engine=encoder_decoder: the model .*llama. is a decoder-only .* engine=decoder_only"),
    ],
)
def test_the_engine_must_fit_the_model(scorer: type, architecture: str, line: str) -> None:
    language = load_language_model(ModelConfig(source="tiny_random", architecture=architecture, device="cpu"), Lora())
    with pytest.raises(UserError, match=line.replace("(t5)", r"\(t5\)")):
        scorer(language, norms.none)


def test_an_encoder_decoder_model_of_another_family_is_refused() -> None:
    language = load("t5", Frozen())
    language.base.config.decoder_start_token_id = None
    with pytest.raises(UserError, match=r"\(t5\) has no decoder_start_token_id in its config.json; expected one of the T5"):
        EncoderDecoderScorer(language, norms.none)


def test_a_text_of_which_no_token_remains_is_refused() -> None:
    engine = EncoderDecoderScorer(load("t5", Frozen()), norms.none)
    engine.lm.tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.CharDelimiterSplit("x")
    with pytest.raises(UserError, match=r"action='xx': the tokenizer of .* makes no token of it"):
        engine.score([("You", ("xx",))])


def test_beyond_barts_context_is_one_line() -> None:
    engine = known("bart")
    for texts in ([("go " * tiny.POSITIONS, ("go",))], [("go", ("go " * tiny.POSITIONS,))]):
        with pytest.raises(UserError, match=f"expected at most {tiny.POSITIONS}"):
            engine.score(texts)


def test_layers_of_two_stacks_cannot_be_counted_from_the_output() -> None:
    with pytest.raises(UserError, match=r"tuning.layers=1: t5 has an encoder and a decoder, expected null"):
        load("t5", Lora(layers=1))
