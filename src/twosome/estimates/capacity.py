"""The memory of one training process, from a model's shape. ``python -m twosome.estimates.capacity`` prints a table.

The numbers are computed by formulas. Only the coefficients of the activations are measured, as docs/scaling.md describes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

from twosome.language.config import ARCHITECTURES, BATCH_TOKENS, ModelConfig

BYTES = {"float32": 4, "bfloat16": 2}
SAVED = {"float32": (28, 12), "bfloat16": (24, 6)}
"""Bytes that a layer stores per token for the backward pass, per hidden unit and per unit of the MLP's inner layer; measured."""
PROJECTED = 0.3  # share of tokens whose next token is predicted; measured, docs/benchmark.json
TRAINED = 16  # bytes per learned weight: weight, gradient and AdamW's two moments, in float32
CRITIC = (1024, 512)
RANK = 8
LLAMAS = ("llama", "mistral", "qwen2", "qwen3", "gemma")
"""Hugging Face's names of the architectures with the layers of `Shape`."""
USABLE = 0.9  # usable share of a GPU's memory; the rest is used by CUDA or lost in the allocator
GPUS = (24, 40, 80)  # GB
PROCESSES = (1, 2, 4, 8)
BATCHES = (BATCH_TOKENS["cuda"], 512)  # engine.batch_tokens: the default, and one for large models


@dataclass(frozen=True)
class Shape:
    """The shape of a LLaMA-like model.

    hidden, inner, keys: the widths of hidden states, of the MLP's inner layer, and of keys and values. layers: their number.
    vocabulary: its size. tied: whether the embedding and the output layer share their weights.
    """

    name: str
    dtype: str
    hidden: int
    inner: int
    layers: int
    keys: int
    vocabulary: int
    tied: bool

    @property
    def layer(self) -> int:
        """The number of weights of a layer: queries and output, keys and values, the MLP, two norms."""
        return 2 * self.hidden**2 + 2 * self.hidden * self.keys + 3 * self.hidden * self.inner + 2 * self.hidden

    @property
    def embedding(self) -> int:
        """The number of weights of the embedding; the output layer has as many."""
        return self.vocabulary * self.hidden

    @property
    def frozen(self) -> int:
        """The number of weights of the base model."""
        return self.layers * self.layer + self.embedding * (1 if self.tied else 2) + self.hidden

    @property
    def adapter(self) -> int:
        """The number of weights of LoRA on queries and values, of rank RANK."""
        return self.adapter_of(RANK)

    def adapter_of(self, rank: int) -> int:
        """Return the number of weights of LoRA on queries and values for another rank."""
        return self.layers * rank * (self.hidden + self.hidden + self.hidden + self.keys)

    @property
    def critic(self) -> int:
        """The number of weights of the critic."""
        return mlp_weights(self.hidden, *CRITIC, 1)

    @property
    def learned_bytes(self) -> int:
        """The bytes of all learned weights, of which every process has a full copy."""
        return TRAINED * (self.adapter + self.critic)

    def frozen_bytes(self, processes: int) -> int:
        """Return the bytes of the base model's weights on each process, while it computes.

        With several processes these are its shard, the current layer, the prefetched next layer, and the embedding. A tied
        embedding is not sharded.
        """
        size = BYTES[self.dtype]
        if processes == 1:
            return size * self.frozen
        sharded = self.frozen - (self.embedding if self.tied else 0)
        return size * (ceil(sharded / processes) + 2 * self.layer + self.embedding)

    def activation_bytes(self, batch_tokens: int) -> int:
        """Return the bytes of activations that are stored for the backward pass, and of logits and their gradient in float32."""
        hidden, inner = SAVED[self.dtype]
        kept = self.layers * (hidden * self.hidden + inner * self.inner)
        return round(batch_tokens * (kept + PROJECTED * 2 * 4 * self.vocabulary))

    def total_bytes(self, processes: int, batch_tokens: int = BATCHES[0]) -> int:
        """Return the bytes of weights and activations on each process."""
        return self.frozen_bytes(processes) + self.learned_bytes + self.activation_bytes(batch_tokens)


SHAPES = (
    Shape("SmolLM2-135M", "float32", 576, 1536, 30, 192, 49_152, tied=True),
    Shape("Llama-3.2-1B", "bfloat16", 2048, 8192, 16, 512, 128_256, tied=True),
    Shape("LLaMA-7B", "bfloat16", 4096, 11_008, 32, 4096, 32_000, tied=False),
    Shape("LLaMA-7B", "float32", 4096, 11_008, 32, 4096, 32_000, tied=False),
    Shape("Llama-2-13B", "bfloat16", 5120, 13_824, 40, 5120, 32_000, tied=False),
    Shape("Llama-3.1-70B", "bfloat16", 8192, 28_672, 80, 1024, 128_256, tied=False),
)


def mlp_weights(*sizes: int) -> int:
    """Return the number of weights of linear layers between these sizes, without biases."""
    return sum(inputs * outputs for inputs, outputs in pairwise(sizes))


def shape_of(model: ModelConfig) -> Shape | None:
    """Return the shape of the configured model; None if it is not downloaded yet, or is not LLaMA-like."""
    dtype = "float32" if model.dtype == "float32" else "bfloat16"  # float16 has the same size
    if model.source == "smollm2":
        return replace(SHAPES[0], dtype=dtype)
    config = _hub_config(str(model.path)) if model.source == "hf" else ARCHITECTURES.get(model.architecture, {})
    if model.source == "hf" and config.get("model_type") not in LLAMAS:
        return None
    try:
        hidden, heads = config["hidden_size"], config["num_attention_heads"]
        return Shape(
            str(model.path),
            dtype,
            hidden,
            config["intermediate_size"],
            config["num_hidden_layers"],
            config.get("num_key_value_heads", heads) * (config.get("head_dim") or hidden // heads),
            config.get("vocab_size", 0),
            config.get("tie_word_embeddings", True),
        )
    except (KeyError, TypeError):
        return None


def _hub_config(path: str) -> dict[str, Any]:
    """Return the config.json of a local folder or of a downloaded hub repository; empty if it cannot be read."""
    file = Path(path).expanduser() / "config.json"
    if not file.is_file():
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            file = Path(try_to_load_from_cache(path, "config.json") or "")
        except (HFValidationError, TypeError):  # not a hub name; cached as missing
            return {}
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def needed(shape: Shape, gpu: float, batch_tokens: int) -> str:
    """Return the smallest number of GPUs of so many GB that can train the model, as text for the table."""
    fits = (number for number in PROCESSES if shape.total_bytes(number, batch_tokens) <= USABLE * gpu * 1e9)
    return str(next(fits, f">{PROCESSES[-1]}"))


def table() -> Iterator[str]:
    """Yield the lines of the table in docs/scaling.md, in GB of 10^9 bytes."""
    columns = ["model", "dtype", "frozen weights", "what learns", "activations", *(f"on {n}" for n in PROCESSES)]
    columns += [f"{gpu} GB" for gpu in GPUS]
    yield "| " + " | ".join(columns) + " |"
    yield "|---|---|" + "---:|" * (len(columns) - 2)
    for shape in SHAPES:
        parts = (shape.frozen_bytes(1), shape.learned_bytes, shape.activation_bytes(BATCHES[0]))
        sizes = [*parts, *(shape.total_bytes(number) for number in PROCESSES)]
        gpus = (" / ".join(needed(shape, gpu, tokens) for tokens in BATCHES) for gpu in GPUS)
        yield "| " + " | ".join([shape.name, shape.dtype, *(f"{size / 1e9:.2f}" for size in sizes), *gpus]) + " |"


if __name__ == "__main__":
    print("\n".join(table()))
