"""Frozen linear layers in oneDNN's packed layout.

PyTorch multiplies float32 matrices on CPUs by MKL, which lays a weight out anew for each product and, on AMD's processors, leaves
AVX-512 unused. A frozen weight needs laying out once. Measured on an AMD EPYC with SmolLM2-135M's shapes: 2 to 2.5 times the
speed from 16 to 1024 tokens, 4 times for 2 tokens (docs/benchmark.json has the whole engine's). The operators are those that
PyTorch's own compiler uses for frozen weights on CPUs (torch/_inductor/mkldnn_ir.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

SLICE = 8192
"""Outputs in a slice of a layer: logits of 300 tokens and this many entries of the vocabulary stay in a cache of 32 MB."""


class PackedLinear(nn.Linear):
    """x W^T + b with a weight that is never trained; gradients flow to x alone.

    It shares the weight of the layer that it replaces and keeps a packed copy, from the first product on, and another one of
    the transposed weight from the first backward pass on.
    """

    def __init__(self, layer: nn.Linear) -> None:
        """layer: a float32 layer on the CPU."""
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.plain = False  # multiply by PyTorch's ordinary product instead
        self._packed: Tensor | None = None
        self._transposed: Tensor | None = None
        self._slices: list[PackedLinear] = []

    def forward(self, x: Tensor) -> Tensor:
        """(..., in features) to (..., out features)."""
        return super().forward(x) if self.plain else _Product.apply(x, self)

    def product(self, x: Tensor) -> Tensor:
        """The layer's output, outside of autograd."""
        if self._packed is None:
            self._packed = _pack(self.weight.detach())
        return _multiply(x, self._packed, self.bias)

    def product_of_gradient(self, gradient: Tensor) -> Tensor:
        """What the output's gradient means for the input."""
        if self._transposed is None:
            self._transposed = _pack(self.weight.detach().t().contiguous())
        return _multiply(gradient, self._transposed, None)

    def slices(self) -> "list[PackedLinear]":
        """Layers that give SLICE of the outputs each, without the bias; in place of the whole layer's packed copies."""
        if not self._slices:
            for weight in self.weight.detach().split(SLICE):
                layer = nn.Linear(self.in_features, len(weight), bias=False, device="meta")
                layer.weight = nn.Parameter(weight, requires_grad=False)
                self._slices.append(PackedLinear(layer))
        return self._slices


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: PackedLinear) -> Tensor:
        ctx.layer = layer
        return layer.product(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.layer.product_of_gradient(gradients[0]), None


def pack_frozen_layers(model: nn.Module) -> int:
    """Replace the model's frozen float32 linear layers on the CPU by packed ones; returns how many there were.

    None where this PyTorch has no oneDNN, nor on a GPU or in another dtype.
    """
    if not torch.backends.mkldnn.is_available():
        return 0
    found = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if type(layer) is nn.Linear and _is_frozen(layer)
    ]
    for parent, name, layer in found:
        setattr(parent, name, PackedLinear(layer))
    return len(found)


@contextmanager
def plain_products(model: nn.Module) -> Iterator[None]:
    """Inside, the model's packed layers multiply as PyTorch does by itself: what the benchmark compares with."""
    layers = [layer for layer in model.modules() if isinstance(layer, PackedLinear)]
    for layer in layers:
        layer.plain = True
    try:
        yield
    finally:
        for layer in layers:
            layer.plain = False


def _is_frozen(layer: nn.Linear) -> bool:
    weight = layer.weight
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and not any(p.requires_grad for p in layer.parameters())


def _pack(weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight)


def _multiply(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x.contiguous(), packed, bias, "none", [], "")
