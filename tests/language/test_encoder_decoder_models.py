"""Encoder-decoder models: families, loading, export, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_decoder_tools import assert_agree, known, load
from scoring_tools import DECISIONS
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForSeq2SeqLM, PreTrainedTokenizerBase, T5Tokenizer

from twosome.errors import UserError
from twosome.language import norms, tiny
from twosome.language.encoder_decoder import EncoderDecoderScorer
from twosome.language.full import Full
from twosome.language.gate import engine_of
from twosome.language.lora import Lora
from twosome.language.tuning import Frozen

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


def test_a_model_without_a_token_to_begin_with_is_refused() -> None:
    language = load("t5", Frozen())
    language.base.config.decoder_start_token_id = None
    with pytest.raises(UserError, match=r"model.path=.*t5: config.json has no decoder_start_token_id; expected the token"):
        engine_of(language, norms.none)


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
    adapted = [
        [name for name, _ in load("t5", Lora(layers=layers)).model.named_parameters() if "lora" in name]
        for layers in ("half", None)
    ]
    assert adapted[0] == adapted[1]
