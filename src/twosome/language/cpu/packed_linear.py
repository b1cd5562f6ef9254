"""Frozen linear layers in oneDNN's packed layout, and log-probabilities by slices of a packed output layer.

PyTorch multiplies float32 matrices on CPUs by MKL, which rearranges the weight for each product. A frozen weight can be packed
once. What this gains depends on the processor: docs/speed.md has the measured ratios, and `gain` measures this one. The operators
are those that PyTorch's own compiler uses for frozen weights on CPUs (torch/_inductor/mkldnn_ir.py).

A layer whose weight is in bfloat16 multiplies in bfloat16: its input is rounded, its output is float32 again. oneDNN multiplies
bfloat16 on some processors only. Elsewhere the same rounded numbers are multiplied in float32, which is slower.
"""

import hashlib
import json
import sys
import time
from functools import cache, partial
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from twosome.files import cache_root, write_atomic
from twosome.storage.provenance import cpu_name

SLICE = 8192
"""Outputs per slice of a layer: the float32 logits of 300 tokens for this many vocabulary entries fit into a cache of 32 MB."""
LEAST_GAIN, LEAST_GAIN_OF_BFLOAT16 = 1.1, 1.3
"""Float32 weights are packed, and model.dtype=auto is bfloat16, where a packed product is at least this many times as fast."""
MEASURED = (64, 1536, 576)
"""Tokens, outputs and inputs of the products that are timed: a layer of SmolLM2-135M, and the tokens of a short decision."""


@cache
def can_pack(dtype: torch.dtype) -> bool:
    """Return whether oneDNN packs weights of this dtype on this processor."""
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32 and torch.backends.mkldnn.is_available()


@cache
def gain(dtype: str) -> float:
    """Return how many times as fast as PyTorch's float32 product a packed product is here. dtype: of the packed weight.

    The ratio is measured once per machine and kept in the suite's cache, so that equal runs on a machine compute the same. The
    products alternate. Of each kind the shortest time counts, so other work on the machine changes little.
    """
    if not can_pack(getattr(torch, dtype)):
        return 0.0
    machine = {
        "cpu": cpu_name(),
        "instructions": [torch.backends.cpu.get_cpu_capability(), can_pack(torch.bfloat16)],  # a cloud's CPUs share one name
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    key = json.dumps({"dtype": dtype, "shape": MEASURED} | machine, sort_keys=True)
    try:
        file = cache_root() / "products" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
        return float(json.loads(file.read_text())["result"])
    except RuntimeError:  # the user has no home folder, and TWOSOME_CACHE names no other
        return _measured_gain(dtype)
    except (OSError, ValueError, KeyError, TypeError):  # absent, damaged, or another format: it is measured again
        measured = _measured_gain(dtype)
    try:
        write_atomic(file, json.dumps({"key": json.loads(key), "result": measured}, indent=2) + "\n", parents=True)
    except OSError as error:
        print(f"note: TWOSOME_CACHE={cache_root()}: cannot keep results there for later runs ({error.strerror})", file=sys.stderr)
    return measured


def _measured_gain(dtype: str) -> float:
    tokens, outputs, inputs = MEASURED
    weight, x = torch.ones(outputs, inputs), torch.ones(tokens, inputs)
    packed = PackedLinear(_frozen(weight.to(getattr(torch, dtype))))
    times: dict[Any, list[float]] = {partial(nn.functional.linear, weight=weight): [], packed.product: []}
    for _ in range(50):
        for product, own in times.items():
            start = time.perf_counter()
            product(x)
            own.append(time.perf_counter() - start)
    plain_times, packed_times = times.values()
    return min(plain_times) / min(packed_times)


def bfloat16_is_faster() -> bool:
    """Return whether this CPU multiplies bfloat16 faster than float32.

    A CPU with AMX does. Of those that report AVX512-BF16 alone, some do and some do not, so products are timed: oneDNN's bfloat16
    products took half the time of float32's on an AMD EPYC, and twice the time on a Xeon.
    """
    if not can_pack(torch.bfloat16):
        return False
    native = torch.cpu._is_avx512_bf16_supported() and gain("bfloat16") >= LEAST_GAIN_OF_BFLOAT16
    return bool(torch.cpu._is_amx_tile_supported()) or native


class PackedLinear(nn.Linear):
    """A linear layer x W^T + b with a frozen weight; only x gets a gradient.

    Inputs and outputs are float32. It shares the weight of the layer that it replaces, in float32 or bfloat16. The first product
    adds a packed copy of the weight, the first backward pass a packed copy of the transposed weight.
    """

    def __init__(self, layer: nn.Linear) -> None:
        """layer: on the CPU, with a weight in float32 or bfloat16."""
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.plain = False  # use PyTorch's ordinary product instead
        self._packed: Tensor | None = None
        self._transposed: Tensor | None = None
        self._slices: list[PackedLinear] = []

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in features) to (..., out features)."""
        if not self.plain:
            return _Product.apply(x, self)
        out = nn.functional.linear(x.to(self.weight.dtype), self.weight).float()
        return out if self.bias is None else out + self.bias

    def product(self, x: Tensor) -> Tensor:
        """Compute the layer's output, (..., out features), without autograd."""
        if not can_pack(self.weight.dtype):
            return _rounded_product(x, self.weight, self.bias)
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach())
        return _multiply(x, self._packed, self.bias)

    def product_of_gradient(self, gradient: Tensor) -> Tensor:
        """Compute the gradient of the input, (..., in features), from the gradient of the output, (..., out features)."""
        if not can_pack(self.weight.dtype):
            return _rounded_product(gradient, self.weight.t(), None)
        if self._transposed is None:
            self._transposed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach().t().contiguous())
        return _multiply(gradient, self._transposed, None)

    def slices(self) -> "list[PackedLinear]":
        """Return layers without bias that compute SLICE of the outputs each. They avoid a packed copy of the whole weight."""
        if not self._slices:
            self._slices = [PackedLinear(_frozen(weight)) for weight in self.weight.detach().split(SLICE)]
        return self._slices


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: PackedLinear) -> Tensor:
        ctx.layer = layer
        return layer.product(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.layer.product_of_gradient(gradients[0]), None


def pack_frozen_layers(model: nn.Module, head: nn.Module | None = None) -> None:
    """Replace the model's frozen linear layers on the CPU by packed ones where this is faster.

    A bfloat16 model has packed layers in any case: they say how it computes. In such a model, all but the packed weights become
    float32. So does the output layer, head: rounding of the logits would change log-probabilities by hundredths. A bfloat16 model
    without such layers (GPT-2 has none) stays as it is.
    """
    found = [(parent, name, layer) for parent in model.modules() for name, layer in parent.named_children() if _packable(layer)]
    narrow = {id(layer.weight) for _, _, layer in found if layer is not head and layer.weight.dtype == torch.bfloat16}
    if not (narrow or gain("float32") >= LEAST_GAIN):
        return
    for tensor in (*model.parameters(), *model.buffers()):
        if narrow and tensor.dtype == torch.bfloat16 and id(tensor) not in narrow:
            tensor.data = tensor.data.float()
    for parent, name, layer in found:
        if layer is not head or layer.weight.dtype == torch.float32:
            setattr(parent, name, PackedLinear(layer))


def _packable(layer: nn.Module) -> TypeGuard[nn.Linear]:
    if type(layer) is not nn.Linear or any(parameter.requires_grad for parameter in layer.parameters()):
        return False
    return layer.weight.device.type == "cpu" and layer.weight.dtype in (torch.float32, torch.bfloat16)


def _frozen(weight: Tensor) -> nn.Linear:
    """Return the layer without bias that has this weight."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def _rounded_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute what `_multiply` computes with a weight in bfloat16, by a product in float32."""
    out = nn.functional.linear(x.bfloat16().float(), weight.float()).bfloat16().float()
    return out if bias is None else out.add_(bias)


def _multiply(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    if packed.dtype == torch.bfloat16:
        out = torch.ops.mkldnn._linear_pointwise(x.bfloat16().contiguous(), packed, None, "none", [], "").float()
        return out if bias is None else out.add_(bias)
    return torch.ops.mkldnn._linear_pointwise(x.contiguous(), packed, bias, "none", [], "")


class SlicedLogProbs(torch.autograd.Function):
    """Log P(target | states[source]), (edges,), by slices of the vocabulary, as flash attention processes keys.

    The logits of a slice stay in the CPU's cache. A running maximum and a running sum give the softmax's normaliser. The part of
    the gradient that depends on the logits is the mean of the weight's rows under the predicted distribution; it is computed in
    the same pass. So no logits are stored for the backward pass or computed again in it.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, head: PackedLinear, source: Tensor, target: Tensor) -> Tensor:
        """states: (n, hidden), last hidden states. head: without bias. source: (edges,), indices into states. target: tokens."""
        rows = head.weight[target]
        normaliser, mean_rows = _normalisers(states, head, learning=ctx.needs_input_grad[0])
        if mean_rows is not None:
            ctx.save_for_backward(rows, mean_rows, source)
        return (states[source] * rows).sum(dim=-1) - normaliser[source]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Compute the gradient of the states: for each edge, the weight's row of the target minus the mean row."""
        rows, mean_rows, source = ctx.saved_tensors
        weights = gradients[0].unsqueeze(1)
        return torch.zeros_like(mean_rows).index_add_(0, source, weights * (rows - mean_rows[source])), None, None, None


def _normalisers(states: Tensor, head: PackedLinear, learning: bool) -> tuple[Tensor, Tensor | None]:
    """Return the log of the softmax's denominator, (n,), and if learning the weight's mean row under the softmax, (n, hidden)."""
    top = states.new_full((len(states), 1), -torch.inf)
    total = torch.zeros_like(top)
    mean_rows = torch.zeros_like(states)
    for piece in head.slices():
        part = piece.product(states)
        new_top = torch.maximum(top, part.amax(dim=1, keepdim=True))
        shrink = (top - new_top).exp()
        part.sub_(new_top).exp_()
        total = total * shrink + part.sum(dim=1, keepdim=True)
        if learning:
            mean_rows.mul_(shrink).add_(piece.product_of_gradient(part))
        top = new_top
    return (top + total.log()).squeeze(1), mean_rows.div_(total) if learning else None
