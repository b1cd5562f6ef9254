"""The costs that the benchmark measures: seconds, tokens, model FLOPs, memory."""

import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from twosome.language.packed_linear import PackedLinear
from twosome.language.scorer import Scorer


@dataclass
class Cost:
    """The cost of a piece of work.

    seconds: of all of it. forward_seconds: inside the model's forward passes. tokens: the model's input tokens. projected: the
    positions projected onto the vocabulary. flops: model FLOPs.
    """

    seconds: float
    forward_seconds: float
    tokens: int
    projected: int
    flops: float

    def times(self, factor: float) -> "Cost":
        """Return the cost of factor times the work."""
        tokens, projected = round(self.tokens * factor), round(self.projected * factor)
        return Cost(self.seconds * factor, self.forward_seconds * factor, tokens, projected, self.flops * factor)

    def plus(self, other: "Cost") -> "Cost":
        """Return the sum of both costs."""
        return Cost(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


def timed(scorer: Scorer, work: Callable[[], Any], backward: bool) -> Cost:
    """Do the work once; return its cost in the scorer's model.

    Model FLOPs are 2 per weight and token, and twice that with a backward pass. Attention is not counted, about 2 % here.
    """
    scorer.tokens_computed = scorer.tokens_projected = 0
    with forward_clock(scorer.backbone, scorer.head) as inside:
        start = _now()
        work()
        seconds = _now() - start
    embeddings = scorer.backbone.get_input_embeddings().weight.numel()
    layers = sum(parameter.numel() for parameter in scorer.backbone.parameters()) - embeddings
    products = layers * scorer.tokens_computed + scorer.head.weight.numel() * scorer.tokens_projected
    flops = 2.0 * products * (2 if backward else 1)
    return Cost(seconds, sum(inside), scorer.tokens_computed, scorer.tokens_projected, flops)


@contextmanager
def forward_clock(*modules: nn.Module) -> Iterator[list[float]]:
    """Collect the seconds of every forward pass of these modules within the context."""
    starts: dict[nn.Module, float] = {}
    seconds: list[float] = []

    def begin(module: nn.Module, *_: Any) -> None:
        starts[module] = _now()

    def end(module: nn.Module, *_: Any) -> None:
        seconds.append(_now() - starts[module])

    handles = [module.register_forward_pre_hook(begin) for module in modules]
    handles += [module.register_forward_hook(end) for module in modules]
    try:
        yield seconds
    finally:
        for handle in handles:
            handle.remove()


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@torch.no_grad()
def matmul_peaks(size: int = 2048, repeats: int = 10) -> dict[str, float]:
    """Measure the best FLOP/s of a few float32 matrix products: by PyTorch, and on a CPU also by oneDNN with packed weights."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = torch.randn(size, size, device=device)
    layer = nn.Linear(size, size, bias=False, device=device).requires_grad_(False)
    products = {"PyTorch": layer} if device == "cuda" else {"PyTorch": layer, "oneDNN": PackedLinear(layer)}
    peaks = {}
    for name, product in products.items():
        seconds = []
        for _ in range(repeats):
            start = _now()
            product(x)
            seconds.append(_now() - start)
        peaks[name] = 2 * size**3 / min(seconds)
    return peaks


def peak_memory() -> float:
    """Return the peak memory of this process so far in GB; with a GPU, PyTorch's memory on it."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def show(machine: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the benchmark as a table."""
    peaks = ", ".join(f"{name} {peak:.0f}" for name, peak in machine["matmul_peak_gflops"].items())
    table = Table(title=f"{machine['model']}, {machine['threads']} threads, float32 matmul peak in GFLOP/s: {peaks}")
    for column in ("task", "work", "", "seconds", "tokens", "decisions/s", "of peak", "in model", "ratio"):
        table.add_column(column, justify="left" if column in ("task", "work", "") else "right")
    for row in rows:
        for name in ("engine", "oracle"):
            cost = row[name]
            head = (row["task"], row["work"], name) if name == "engine" else ("", "", f"{name} *")
            table.add_row(*head, f"{cost['seconds']:.2f}", f"{cost['tokens']:,}", f"{cost['decisions_per_second']:.1f}",
                          f"{cost['utilisation']:.0%}", _share(cost["utilisation_in_model"]),
                          f"{row['ratio']:.1f}" if name == "engine" else "")  # fmt: skip
    Console(width=120).print(table)
    memory = machine["peak_memory_gb"]
    print(f"* timed on {machine['oracle_timed_on']} decisions and scaled: its cost is proportional to them")
    print(f"peak memory: engine {memory['engine']:.1f} GB, then oracle {memory['oracle']:.1f} GB (of the whole process)")
    print("of peak: model FLOPs per second of the whole work, over the higher peak; in model: per second inside forward passes")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
