"""The engine of encoder-decoder models against one row per action: equal log-probabilities, gradients and features."""

from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_decoder_tools import assert_agree, known, load, oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_tools import DECISIONS, adapter, assert_close_gradients, disturb_adapter, gradients
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForSeq2SeqLM, PreTrainedTokenizerBase, T5Tokenizer

from twosome.errors import UserError
from twosome.language import norms, tiny
from twosome.language.encoder_decoder import EncoderDecoderScorer
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.tiny import ENCODER_DECODERS
from twosome.language.tree import padded_size
from twosome.language.tuning import Frozen, Full, Lora

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
    values.pop("scale_decoder_outputs", None)  # of T5: follows tie_word_embeddings, as in the hub's configurations
    AutoConfig.for_model(**values).save_pretrained(tmp_path)
    language = load(source="hf", path=str(tmp_path), random=True)
    if architecture == "bart":
        language.base.final_logits_bias.normal_()
    else:
        assert language.base.config.scale_decoder_outputs == options.get("tie_word_embeddings", False)
    assert_agree(EncoderDecoderScorer(language, norms.none), DECISIONS)


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
    language = load("t5", Full(), source="hf", path=str(folder))
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
    again = EncoderDecoderScorer(load("t5", Full(), source="hf", path=str(tmp_path / "model")), norms.none)
    assert torch.equal(again.score(DECISIONS).logprobs, engine.score(DECISIONS).logprobs)
    engine.lm.tuning.load(load("t5", Full(), source="hf", path=str(folder)).model, tmp_path / "model")


def test_exported_bart_keeps_the_bias_of_its_logits(tmp_path: Path) -> None:
    language, other = load("bart", Full()), load("bart", Full())
    language.base.final_logits_bias.normal_()
    language.tuning.export(language.model, tmp_path / "model")
    alone = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model")
    other.tuning.load(other.model, tmp_path / "model")
    for found in (alone, other.base):
        assert all(torch.equal(value, found.state_dict()[name]) for name, value in language.base.state_dict().items())


def test_what_cannot_be_scored_is_one_line() -> None:
    for texts in ([("go " * tiny.POSITIONS, ("go",))], [("go", ("go " * tiny.POSITIONS,))]):
        with pytest.raises(UserError, match=f"expected at most {tiny.POSITIONS}"):
            known("bart").score(texts)
    engine = EncoderDecoderScorer(load("t5", Frozen()), norms.none)
    engine.lm.tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.CharDelimiterSplit("x")
    with pytest.raises(UserError, match=r"'xx': the tokenizer of .* makes no token of it"):
        engine.score([("You", ("xx",))])


def test_layers_of_two_stacks_cannot_be_counted_from_the_output() -> None:
    with pytest.raises(UserError, match=r"tuning.layers=1: t5 has an encoder and a decoder, expected null"):
        load("t5", Lora(layers=1))
    adapted = [[name for name in adapter(load("t5", Lora(layers=layers)).model)] for layers in ("half", None)]
    assert adapted[0] == adapted[1]


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
