"""What fits where: the memory of one training process, from a model's shape; ``python -m twosome.estimates.capacity`` prints it.

Formulas, not measurements, but for the activations' coefficients (docs/scaling.md says how those were measured).
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
"""Bytes that a layer keeps per token for the backward pass, per hidden unit and per unit of the MLP's inner layer; measured."""
PROJECTED = 0.3  # of the tokens, those whose next one is predicted: measured, docs/benchmark.json
TRAINED = 16  # bytes per learned weight: itself, its gradient and AdamW's two moments, in float32
CRITIC = (1024, 512)
RANK = 8
LLAMAS = ("llama", "mistral", "qwen2", "qwen3", "gemma")
"""Hugging Face's names of the architectures that have the layers of `Shape`."""
USABLE = 0.9  # of a GPU's memory: the rest is CUDA's own and what the allocator cannot use
GPUS = (24, 40, 80)  # GB
PROCESSES = (1, 2, 4, 8)
BATCHES = (BATCH_TOKENS["cuda"], 512)  # engine.batch_tokens: the default, and one for large models


@dataclass(frozen=True)
class Shape:
    """A LLaMA-like model: widths of its layers, how many there are, the vocabulary, whether embedding and output are one."""

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
        """Weights of a layer: queries and output, keys and values, the MLP, two norms."""
        return 2 * self.hidden**2 + 2 * self.hidden * self.keys + 3 * self.hidden * self.inner + 2 * self.hidden

    @property
    def embedding(self) -> int:
        """Weights of the embedding; the output layer's are as many."""
        return self.vocabulary * self.hidden

    @property
    def frozen(self) -> int:
        """Weights of the base model."""
        return self.layers * self.layer + self.embedding * (1 if self.tied else 2) + self.hidden

    @property
    def adapter(self) -> int:
        """Weights of LoRA on queries and values."""
        return self.adapter_of(RANK)

    def adapter_of(self, rank: int) -> int:
        """The same for another rank."""
        return self.layers * rank * (self.hidden + self.hidden + self.hidden + self.keys)

    @property
    def critic(self) -> int:
        """Weights of the critic."""
        return mlp_weights(self.hidden, *CRITIC, 1)

    @property
    def learned_bytes(self) -> int:
        """What learns, whole on every process."""
        return TRAINED * (self.adapter + self.critic)

    def frozen_bytes(self, processes: int) -> int:
        """The base model's weights on one of several processes, while it computes: its shard, the layer at work and the one
        fetched ahead, and the embedding (a tied one is not sharded)."""
        size = BYTES[self.dtype]
        if processes == 1:
            return size * self.frozen
        sharded = self.frozen - (self.embedding if self.tied else 0)
        return size * (ceil(sharded / processes) + 2 * self.layer + self.embedding)

    def activation_bytes(self, batch_tokens: int) -> int:
        """What a forward pass keeps for the backward pass, and the vocabulary's logits with their gradient in float32."""
        hidden, inner = SAVED[self.dtype]
        kept = self.layers * (hidden * self.hidden + inner * self.inner)
        return round(batch_tokens * (kept + PROJECTED * 2 * 4 * self.vocabulary))

    def total_bytes(self, processes: int, batch_tokens: int = BATCHES[0]) -> int:
        """All of it, on each process."""
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
    """Weights of linear layers between these sizes, without biases."""
    return sum(inputs * outputs for inputs, outputs in pairwise(sizes))


def shape_of(model: ModelConfig) -> Shape | None:
    """The shape of the model that is configured; None where it is not known before the model is there, or is no LLaMA's."""
    dtype = "float32" if model.dtype == "float32" else "bfloat16"  # float16 is as large
    if model.source == "smollm2":
        return replace(SHAPES[0], dtype=dtype)
    config = _hub_config(str(model.path)) if model.source == "hf" else ARCHITECTURES[model.architecture]
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
    """The config.json of a local folder, or of a hub's repository that has been downloaded; empty where it cannot be read."""
    file = Path(path).expanduser() / "config.json"
    if not file.is_file():
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            file = Path(try_to_load_from_cache(path, "config.json") or "")
        except (HFValidationError, TypeError):  # no hub name; known not to be there
            return {}
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def needed(shape: Shape, gpu: float, batch_tokens: int) -> str:
    """The fewest GPUs of so many GB that train the model, as the table says it."""
    fits = (number for number in PROCESSES if shape.total_bytes(number, batch_tokens) <= USABLE * gpu * 1e9)
    return str(next(fits, f">{PROCESSES[-1]}"))


def table() -> Iterator[str]:
    """The lines of the table in docs/scaling.md, in GB of 10^9 bytes."""
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
