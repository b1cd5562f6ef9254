"""The cost of a piece of work: seconds, tokens, model FLOPs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn


class Counting(Protocol):
    """An engine that counts its tokens, as `language.scorer.Scorer` does."""

    backbone: Any
    head: Any
    tokens_computed: int
    tokens_projected: int


@dataclass(frozen=True)
class Cost:
    """The cost of a piece of work.

    tokens: the model's input tokens. projected: the positions projected onto the vocabulary. Both include padding.
    flops: model FLOPs.
    """

    seconds: float
    tokens: int
    projected: int
    flops: float

    def times(self, factor: float) -> "Cost":
        """Return the cost of factor times the work."""
        tokens, projected = round(self.tokens * factor), round(self.projected * factor)
        return Cost(self.seconds * factor, tokens, projected, self.flops * factor)


@dataclass(frozen=True)
class Weights:
    """The weights that a model multiplies with: of its layers and of its output layer, in numbers and in bytes."""

    layers: int
    head: int
    layer_bytes: int
    head_bytes: int

    @classmethod
    def of(cls, engine: Counting) -> "Weights":
        """Count an engine's weights, adapters included; embeddings are looked up and not counted."""
        embeddings = engine.backbone.get_input_embeddings().weight
        layers = [parameter for parameter in engine.backbone.parameters() if parameter is not embeddings]
        head = engine.head.weight
        return cls(sum(layer.numel() for layer in layers), head.numel(), sum(map(_bytes, layers)), _bytes(head))

    def flops(self, tokens: int, projected: int, backward: bool) -> float:
        """Return model FLOPs: 2 per weight and token, and twice that with a backward pass.

        Only adapters have gradients, so a backward pass multiplies with each frozen weight once. Attention is not counted (2 %
        for prompts of 50 tokens).
        """
        return 2.0 * (self.layers * tokens + self.head * projected) * (2 if backward else 1)


def timed(engine: Counting, work: Callable[[], Any], backward: bool) -> Cost:
    """Do the work once; return its cost in the engine's model. backward: whether it has a backward pass."""
    engine.tokens_computed = engine.tokens_projected = 0
    start = now()
    work()
    seconds = now() - start
    tokens, projected = engine.tokens_computed, engine.tokens_projected
    return Cost(seconds, tokens, projected, Weights.of(engine).flops(tokens, projected, backward))


def now() -> float:
    """Return the time in seconds, after the GPU has finished its work, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _bytes(weight: nn.Parameter) -> int:
    return weight.numel() * weight.element_size()
