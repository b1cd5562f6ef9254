"""The cost of a piece of work: seconds, tokens, model FLOPs."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from twosome.language.lower_layers import decoder_layers, frozen_depth


class Counting(Protocol):
    """An engine that counts its tokens, as `language.scorer.Scorer` does. It may have a cache of its lower layers, `lower`."""

    lm: Any
    backbone: Any
    head: Any
    tokens_computed: int
    tokens_projected: int


@dataclass(frozen=True)
class Cost:
    """The cost of a piece of work.

    tokens: the model's input tokens; where the lower layers are cached, a token counts by the share of the layers above them.
    projected: the positions projected onto the vocabulary. Both include padding. flops: model FLOPs, of all layers.
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
    """The weights that a model multiplies with: of its layers and of its output layer, in numbers and in bytes.

    lower, lower_bytes: of the layers below the first one that learns, which are among layers.
    """

    layers: int
    head: int
    layer_bytes: int
    head_bytes: int
    lower: int = 0
    lower_bytes: int = 0

    @classmethod
    def of(cls, engine: Counting) -> "Weights":
        """Count an engine's weights, adapters included; embeddings are looked up and not counted."""
        embeddings = engine.backbone.get_input_embeddings().weight
        layers = [parameter for parameter in engine.backbone.parameters() if parameter is not embeddings]
        head = engine.head.weight
        lower = list(decoder_layers(engine.backbone)[1][: frozen_depth(engine.lm)].parameters())
        return cls(_numbers(layers), head.numel(), _bytes(layers), _bytes([head]), _numbers(lower), _bytes(lower))

    @property
    def learning(self) -> float:
        """The share of the layers' weights through which gradients flow."""
        return 1 - self.lower / self.layers

    def flops(self, tokens: float, projected: int, backward: float, lower: int = 0) -> float:
        """Return model FLOPs: 2 per weight and token, and as much again for what has a backward pass.

        tokens: as in `Cost`; one that only the layers that learn compute counts by their share. backward: the share of the
        layers, of those that tokens counts, that has a backward pass; 0 without any. lower: further tokens that the lower layers
        alone compute.
        Only adapters have gradients, so a backward pass multiplies with each frozen weight once. Attention is not counted (2 %
        for prompts of 50 tokens).
        """
        return 2.0 * (self.layers * tokens * (1 + backward) + self.head * projected * (2 if backward else 1) + self.lower * lower)


def timed(engine: Counting, work: Callable[[], Any], backward: float) -> Cost:
    """Do the work once; return its cost in the engine's model. backward: as in `Weights.flops`."""
    cache = getattr(engine, "lower", None)
    engine.tokens_computed = engine.tokens_projected = 0
    if cache is not None:
        cache.tokens = 0
    start = now()
    work()
    seconds = now() - start
    tokens, projected = engine.tokens_computed, engine.tokens_projected
    lower = cache.tokens if cache is not None else 0
    return Cost(seconds, tokens, projected, Weights.of(engine).flops(tokens, projected, backward, lower))


def now() -> float:
    """Return the time in seconds, after the GPU has finished its work, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _numbers(weights: Iterable[nn.Parameter]) -> int:
    return sum(weight.numel() for weight in weights)


def _bytes(weights: Iterable[nn.Parameter]) -> int:
    return sum(weight.numel() * weight.element_size() for weight in weights)
