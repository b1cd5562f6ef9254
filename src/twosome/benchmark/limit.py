"""The time that a machine needs at least for the distinct tokens of a piece of work.

A pass is work that begins when the one before it has ended: a step of a rollout, or an optimiser step. It takes the longer of its
FLOPs at the measured peak of a matrix product, and of the weights' bytes at the measured bandwidth of the memory. A token in its
context is computed once, as is each prediction; gradients flow through the layers that learn only. Activations and attention are
not counted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from twosome.benchmark.cost import Weights, now
from twosome.language.packed_linear import PackedLinear
from twosome.language.tokens import TokenizedDecision
from twosome.language.tree import PackedRow

SIZE = 2048
"""Rows and columns of the matrices of the measurement of the peak."""
TRIAD = 2**26
"""Numbers per array of the measurement of the bandwidth. Its three float32 arrays of 0.3 GB are larger than the caches."""
REPEATS = 3
"""Of each measurement; the shortest time counts."""


@dataclass(frozen=True)
class Speeds:
    """What a machine reaches. flops: FLOP/s of a matrix product by each library. bandwidth: bytes per second from memory."""

    flops: dict[str, float]
    bandwidth: float

    @property
    def peak(self) -> float:
        """FLOP/s of the fastest library."""
        return max(self.flops.values())


@dataclass(frozen=True)
class Limit:
    """The distinct tokens, predicting positions, model FLOPs and bytes of each pass of a piece of work."""

    tokens: list[int]
    projected: list[int]
    flops: list[float]
    bytes: list[float]

    @classmethod
    def of(
        cls,
        passes: Iterable[Sequence[TokenizedDecision]],
        weights: Weights,
        backward: bool,
        met: Iterable[TokenizedDecision] = (),
    ) -> "Limit":
        """Count what each pass adds to the passes before it.

        backward: whether it has a backward pass. met: decisions whose tokens the lower layers have computed before all passes.
        A pass reads all weights that it multiplies with once, and those of the layers that learn again for the backward pass.
        (That of the output layer can be computed with the forward pass, slice by slice.)
        """
        tree, below, found = PackedRow(), PackedRow(), cls([], [], [], [])
        _add(below, met)
        for decisions in passes:
            before, lower, known = len(tree), len(below), len(_predicting(tree))
            _add(tree, decisions)
            _add(below, decisions)
            found._append(weights, len(tree) - before, len(_predicting(tree)) - known, len(below) - lower, backward)
        return found

    def _append(self, weights: Weights, tokens: int, projected: int, lower: int, backward: bool) -> None:
        """Append a pass. lower: the tokens that the lower layers compute, tokens: those that the others do."""
        self.tokens.append(tokens)
        self.projected.append(projected)
        self.flops.append(weights.flops(weights.learning * tokens, projected, float(backward), lower))
        upper = weights.layer_bytes - weights.lower_bytes
        read = weights.head_bytes + upper * (2 if backward else 1) + (weights.lower_bytes if lower else 0)
        self.bytes.append(float(read if tokens else 0))

    def seconds(self, speeds: Speeds) -> float:
        """Return the least time on a machine."""
        return sum(max(flops / speeds.peak, read / speeds.bandwidth) for flops, read in zip(self.flops, self.bytes, strict=True))


def _add(tree: PackedRow, decisions: Iterable[TokenizedDecision]) -> None:
    for decision in decisions:
        tree.add(len(tree.decisions), decision)


def _predicting(tree: PackedRow) -> set[int]:
    return {node for node, _ in tree.edges}


@torch.no_grad()
def measured(dtype: torch.dtype, device: torch.device) -> Speeds:
    """Measure the machine's speeds. dtype: of the matrix product, that of the model's weights."""
    return Speeds(_matmul(dtype, device), _triad(device))


def _matmul(dtype: torch.dtype, device: torch.device) -> dict[str, float]:
    """Return the best FLOP/s of a few products of square matrices: by PyTorch, and on a CPU by oneDNN with a packed weight."""
    x = torch.randn(SIZE, SIZE, device=device, dtype=dtype)
    layer = nn.Linear(SIZE, SIZE, bias=False, device=device, dtype=dtype).requires_grad_(False)
    products: dict[str, nn.Module] = {"PyTorch": layer}
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        products["oneDNN"] = PackedLinear(layer)
    return {name: 2 * SIZE**3 / _fastest(partial(product, x)) for name, product in products.items()}


def _triad(device: torch.device) -> float:
    """Return the best bytes per second of a = b + 2 c. Two arrays are read and one is written."""
    b, c = torch.ones(TRIAD, device=device), torch.ones(TRIAD, device=device)
    a = torch.empty_like(b)
    return 3 * a.numel() * a.element_size() / _fastest(lambda: torch.add(b, c, alpha=2, out=a))


def _fastest(work: Callable[[], object]) -> float:
    """Return the shortest of the times in seconds of several calls."""
    times = []
    for _ in range(REPEATS):
        start = now()
        work()
        times.append(now() - start)
    return min(times)
