"""model.path=<file>.gguf: a model that was written to GGUF computes what it did before, and what is wrong is one line."""

import json
from pathlib import Path

import gguf
import pytest
import torch
from loading_tools import PROMPT, load, logits

from twosome.errors import UserError
from twosome.files import sha256
from twosome.language.config import ModelConfig, check_path
from twosome.language.loading import LanguageModel, load_language_model
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
    check_path(config)
    loaded = load_language_model(config)
    assert "converting small.Q8.gguf" in capsys.readouterr().err
    assert loaded.tokenizer(PROMPT)["input_ids"] == original.tokenizer(PROMPT)["input_ids"]
    torch.testing.assert_close(logits(loaded), logits(original), rtol=0, atol=1e-6)
    assert (loaded.name, loaded.checksum) == (str(file), sha256(file))
    assert not hasattr(loaded.base.config, "quantization_config")
    assert [folder.name for folder in cache.iterdir()] == [f"small-{sha256(file)[:12]}-1"]

    assert torch.equal(logits(load_language_model(config)), logits(loaded))
    assert capsys.readouterr().err == ""  # converted once

    kept = load_language_model(ModelConfig(source="hf", path=str(file), random=True, keep_embeddings=True))
    assert torch.equal(kept.base.get_input_embeddings().weight, loaded.base.get_input_embeddings().weight)
    assert not torch.equal(logits(kept), logits(loaded))


def test_what_cannot_be_read_is_one_line(tmp_path: Path, cache: Path) -> None:
    for path, fault in (("nowhere.gguf", "no such file"), ("damaged.gguf", "transformers cannot read the file")):
        (tmp_path / "damaged.gguf").write_bytes(b"weights")
        with pytest.raises(UserError, match=rf"^model.path=.*{path}: {fault}.*expected a") as caught:
            load_language_model(ModelConfig(source="hf", path=str(tmp_path / path)))
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no such file"):
        check_path(ModelConfig(source="hf", path="nowhere.gguf"))
    assert list(cache.iterdir()) == []
