"""The table of model families in docs/howto/model.md: `python manual/families.py` makes a small random model of each.

In the table, "difference" is the largest one of an action's log-probability between `model.engine=auto` and a plain forward pass
of one row, in nats: float32, an adapter that is not zero, decisions beside one another, prompts of up to 110 tokens.
"""

import contextlib
import io
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM
from transformers.utils import logging

from twosome.language import tiny
from twosome.language.engine import Engine
from twosome.language.gate import engine_of
from twosome.language.loading import LanguageModel, ModelConfig, load_language_model
from twosome.language.norms import none
from twosome.language.scorer import Scorer
from twosome.language.tuning import Lora

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "model.md"
BEGIN, END = "<!-- families: made by python manual/families.py -->\n", "<!-- end of families -->\n"
SIZES: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 512,
}  # fmt: skip
GROUPED = {**SIZES, "num_key_value_heads": 2}
EXPERTS = {**GROUPED, "num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = {**EXPERTS, "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
          "qk_nope_head_dim": 8, "v_head_dim": 8, "n_routed_experts": 4, "n_group": 1, "topk_group": 1}  # fmt: skip
MAMBA2 = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 16}
SEPARATE = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 512, "init_std": 0.2}  # fmt: skip
T5 = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "initializer_factor": 0.5,
    "tie_word_embeddings": False,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "mistral": {**GROUPED, "sliding_window": 96},
    "qwen2": {**GROUPED, "vocab_size": 350},
    "qwen3": {**GROUPED, "head_dim": 16},
    "gemma": {**GROUPED, "head_dim": 16},
    "gemma2": {**GROUPED, "head_dim": 16, "sliding_window": 96},
    "gemma3_text": {**GROUPED, "head_dim": 16, "sliding_window": 96},
    "gpt2": {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 512},
    "gpt_neo": {"hidden_size": 32, "num_layers": 4, "num_heads": 4, "attention_types": [[["global", "local"], 2]],
                "window_size": 96, "max_position_embeddings": 512},
    "gpt_neox": {**SIZES, "rotary_pct": 0.5},
    "gptj": {"n_embd": 32, "n_layer": 4, "n_head": 4, "rotary_dim": 4, "n_positions": 512},
    "gpt_bigcode": {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 512},
    "gpt_oss": {**EXPERTS, "head_dim": 16, "sliding_window": 96},
    "opt": {**SIZES, "ffn_dim": 64, "word_embed_proj_dim": 32},
    "bloom": {"hidden_size": 32, "n_layer": 4, "n_head": 4},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 4, "max_seq_len": 512},
    "falcon": {**SIZES, "alibi": False, "new_decoder_architecture": False},
    "falcon_mamba": {"hidden_size": 32, "num_hidden_layers": 4, "state_size": 8},
    "falcon_h1": {**GROUPED, **MAMBA2, "mamba_d_ssm": 64},
    "codegen": {"n_embd": 32, "n_layer": 4, "n_head": 4, "rotary_dim": 4, "n_positions": 512},
    "phi": GROUPED,
    "phi3": GROUPED,
    "stablelm": GROUPED,
    "starcoder2": {**GROUPED, "sliding_window": 96},
    "olmo": GROUPED,
    "olmo2": GROUPED,
    "granite": {**GROUPED, "logits_scaling": 8.0},
    "granitemoehybrid": {**EXPERTS, **MAMBA2, "layer_types": ["mamba", "attention"] * 2},
    "cohere": {**GROUPED, "logit_scale": 4.0},
    "cohere2": {**GROUPED, "logit_scale": 4.0, "sliding_window": 96},
    "glm4": {**GROUPED, "head_dim": 16},
    "smollm3": GROUPED,
    "exaone4": {**GROUPED, "sliding_window": 96},
    "nemotron": GROUPED,
    "persimmon": SIZES,
    "mixtral": EXPERTS,
    "qwen2_moe": {**EXPERTS, "shared_expert_intermediate_size": 32},
    "qwen3_moe": {**EXPERTS, "head_dim": 16},
    "olmoe": EXPERTS,
    "deepseek_v3": LATENT,
    "llama4_text": {**EXPERTS, "head_dim": 16, "intermediate_size_mlp": 64, "attention_chunk_size": 96},
    "lfm2": {**GROUPED, "full_attn_idxs": [1, 3]},
    "qwen3_next": {**EXPERTS, "head_dim": 16, "shared_expert_intermediate_size": 32, "linear_num_key_heads": 2,
                   "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 4, "state_size": 8},
    "mamba2": {"hidden_size": 32, "num_hidden_layers": 4, "num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1},
    "jamba": {**EXPERTS, "mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False, "attn_layer_period": 2,
              "attn_layer_offset": 1},
    "rwkv": {**SIZES, "attention_hidden_size": 32, "context_length": 512},
    "recurrent_gemma": {**GROUPED, "lru_width": 32, "attention_window_size": 16, "num_key_value_heads": 1},
    "xglm": {"d_model": 32, "num_layers": 4, "attention_heads": 4, "ffn_dim": 64, "max_position_embeddings": 512},
    "biogpt": SIZES,
    "t5": {**T5, "feed_forward_proj": "gated-gelu"},
    "mt5": T5,
    "switch_transformers": {**T5, "num_experts": 4, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1},
    "longt5": {**T5, "local_radius": 8},
    "bart": SEPARATE,
    "mbart": SEPARATE,
    "pegasus": SEPARATE,
    "m2m_100": SEPARATE,
    "blenderbot": SEPARATE,
}  # fmt: skip
"""The entries of a small configuration, by model_type. Windows are so short that the longest prompts exceed them."""
QUICK = (
    "llama",
    "mistral",
    "gemma3_text",
    "gpt_neo",
    "opt",
    "mpt",
    "granite",
    "cohere",
    "lfm2",
    "mamba",
    "jamba",
    "t5",
    "pegasus",
)
"""Families of each kind, for the test that everyone runs."""
KITCHEN = (
    "You are in a kitchen with two cutting boards. On the table you see a tomato, a lettuce and an onion. You carry a bowl. You"
)
DECISIONS = [
    (KITCHEN, ("take the bowl", "chop the tomato", "take the tomato", "go")),
    (f"{KITCHEN} should. {KITCHEN}", ("go", "go left")),
    ("Go", ("on", "one", "left")),
    ("You see", ("a door", "a dog")),
]


class Row(NamedTuple):
    """A family's line of the table."""

    family: str
    engine: str
    difference: float
    cached: bool
    targets: tuple[str, ...]


def save(family: str, folder: Path) -> Path:
    """Write a small random model of a family and a tokenizer to a folder."""
    tokenizer = tiny.build_tokenizer("t5" if family in _separate() else "gpt2")
    options = {"vocab_size": len(tokenizer), "initializer_range": 0.2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    options |= {"decoder_start_token_id": 0} if family in _separate() else {}
    config = AutoConfig.for_model(family, **options | FAMILIES[family])
    kind = AutoModelForSeq2SeqLM if family in _separate() else AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        tiny.spread(kind.from_config(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _separate() -> list[str]:
    """Return the families of encoder-decoder models."""
    return list(FAMILIES)[list(FAMILIES).index("t5") :]


def load(folder: Path) -> LanguageModel:
    """Load a small model with an adapter that matters on its upper layers, or where these cannot be counted on all."""
    separate = AutoConfig.from_pretrained(folder).is_encoder_decoder
    lm = load_language_model(ModelConfig(source="hf", path=str(folder), device="cpu"), Lora(layers=None if separate else 2))
    generator = torch.Generator().manual_seed(0)
    for weight in lm.learned():
        weight.data.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return lm


@torch.no_grad()
def difference(engine: Engine) -> float:
    """Return the largest difference of an action's log-probability from that of one row through the model's own forward."""
    found, model = engine.score(DECISIONS).logprobs, engine.lm.base
    largest = 0.0
    for logprobs, (prompt, actions) in zip(found, engine.tokenize(DECISIONS), strict=True):
        for logprob, action in zip(logprobs, actions, strict=False):
            inputs = {"input_ids": torch.tensor([prompt + action])}
            if model.config.is_encoder_decoder:
                begin = (model.config.decoder_start_token_id, *engine.tokenize.begin)
                inputs = {"input_ids": torch.tensor([prompt]), "decoder_input_ids": torch.tensor([begin + action])}
            logits = model(**inputs, use_cache=False).logits[0, -len(action) - 1 : -1].float()
            row = logits.log_softmax(dim=-1).gather(1, torch.tensor(action)[:, None]).sum()
            largest = max(largest, abs(float(logprob - row)))
    return largest


def row(family: str) -> Row:
    """Make, load and compare a small model of a family."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        lm = load(save(family, Path(folder)))
        engine = engine_of(lm, none)
        assert lm.check is not None
        names = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name, _ in lm.model.named_parameters() if ".lora_" in name}
        cached = isinstance(engine, Scorer) and engine.lower is not None
        return Row(family, lm.check.engine.replace("encoder_decoder", "trees"), difference(engine), cached, tuple(sorted(names)))


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown."""
    lines = ["| `model_type` | engine | difference | lower layers cached | LoRA by default |", "|---|---|---|---|---|"]
    for each in rows:
        targets = ", ".join(f"`{name}`" for name in each.targets)
        lines.append(f"| {each.family} | {each.engine} | {each.difference:.0e} | {'yes' if each.cached else 'no'} | {targets} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table into the page."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore")
    rows = []
    for family in sys.argv[1:] or FAMILIES:
        rows.append(row(family))
        print(*rows[-1], flush=True)
    if not sys.argv[1:]:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + table(rows) + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
