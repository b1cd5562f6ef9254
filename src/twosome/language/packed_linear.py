"""Frozen linear layers in oneDNN's packed layout.

On CPUs, PyTorch multiplies float32 matrices by MKL. MKL packs the weight for each product and does not use AVX-512 on AMD
processors. A frozen weight can be packed once. Measured on an AMD EPYC with SmolLM2-135M's shapes: 2 to 2.5 times the
speed from 16 to 1024 tokens, 4 times for 2 tokens (docs/benchmark.json has the whole engine's). The operators are those that
PyTorch's own compiler uses for frozen weights on CPUs (torch/_inductor/mkldnn_ir.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

SLICE = 8192
"""Outputs per slice of a layer: the float32 logits of 300 tokens for this many vocabulary entries fit into a cache of 32 MB."""


class PackedLinear(nn.Linear):
    """A linear layer x W^T + b with a frozen weight; only x gets a gradient.

    It shares the weight of the layer that it replaces. The first product adds a packed copy of the weight, the first backward
    pass a packed copy of the transposed weight.
    """

    def __init__(self, layer: nn.Linear) -> None:
        """layer: a float32 layer on the CPU."""
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.plain = False  # use PyTorch's ordinary product instead
        self._packed: Tensor | None = None
        self._transposed: Tensor | None = None
        self._slices: list[PackedLinear] = []

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in features) to (..., out features)."""
        return super().forward(x) if self.plain else _Product.apply(x, self)

    def product(self, x: Tensor) -> Tensor:
        """Compute the layer's output, (..., out features), without autograd."""
        if self._packed is None:
            self._packed = _pack(self.weight.detach())
        return _multiply(x, self._packed, self.bias)

    def product_of_gradient(self, gradient: Tensor) -> Tensor:
        """Compute the gradient of the input, (..., in features), from the gradient of the output, (..., out features)."""
        if self._transposed is None:
            self._transposed = _pack(self.weight.detach().t().contiguous())
        return _multiply(gradient, self._transposed, None)

    def slices(self) -> "list[PackedLinear]":
        """Return layers without bias that compute SLICE of the outputs each. They avoid a packed copy of the whole weight."""
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
    """Replace the model's frozen float32 linear layers on the CPU by packed ones; return their number.

    Layers on a GPU or of another dtype are left as they are, and all layers if this PyTorch has no oneDNN.
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
    """Make the model's packed layers use PyTorch's ordinary product within the context, as the benchmark's baseline."""
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
