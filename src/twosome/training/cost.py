"""Accounting for the benchmark: seconds, tokens, model FLOPs, memory."""

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from twosome.language.scorer import Scorer


@dataclass
class Cost:
    """What a piece of work took: seconds, the model's input tokens and vocabulary projections, model FLOPs."""

    seconds: float
    tokens: int
    projected: int
    flops: float

    def times(self, factor: float) -> "Cost":
        """The cost of factor times as much of the same work."""
        return Cost(self.seconds * factor, round(self.tokens * factor), round(self.projected * factor), self.flops * factor)

    def plus(self, other: "Cost") -> "Cost":
        """Both costs together."""
        return Cost(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


def timed(scorer: Scorer, work: Callable[[], Any], backward: bool) -> Cost:
    """Do the work once and account for what it made the scorer's model compute."""
    scorer.tokens_computed = scorer.tokens_projected = 0
    start = time.perf_counter()
    work()
    if scorer.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    embeddings = scorer.backbone.get_input_embeddings().weight.numel()
    layers = sum(parameter.numel() for parameter in scorer.backbone.parameters()) - embeddings
    products = layers * scorer.tokens_computed + scorer.head.weight.numel() * scorer.tokens_projected
    return Cost(seconds, scorer.tokens_computed, scorer.tokens_projected, 2.0 * products * (2 if backward else 1))


def matmul_peak(size: int = 2048, repeats: int = 10) -> float:
    """FLOP/s of the best of a few float32 matrix products."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    best = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        (a @ b).sum().item()
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def peak_memory() -> float:
    """The most memory that this process (on a GPU: PyTorch on it) has held so far, GB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def show(machine: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the benchmark as a table."""
    peak = f"{machine['matmul_peak_gflops']:.0f} GFLOP/s"
    table = Table(title=f"{machine['model']}, {machine['threads']} threads, float32 matmul peak {peak}")
    for column in ("task", "work", "", "seconds", "tokens", "decisions/s", "of peak", "ratio"):
        table.add_column(column, justify="left" if column in ("task", "work", "") else "right")
    for row in rows:
        for name in ("engine", "oracle"):
            cost = row[name]
            head = (row["task"], row["work"], name) if name == "engine" else ("", "", f"{name} *")
            table.add_row(*head, f"{cost['seconds']:.2f}", f"{cost['tokens']:,}", f"{cost['decisions_per_second']:.1f}",
                          f"{cost['utilisation']:.0%}", f"{row['ratio']:.1f}" if name == "engine" else "")  # fmt: skip
    Console(width=120).print(table)
    memory = machine["peak_memory_gb"]
    print(f"* timed on {machine['oracle_timed_on']} decisions and scaled: its cost is proportional to them")
    print(f"peak memory: engine {memory['engine']:.1f} GB, then oracle {memory['oracle']:.1f} GB (of the whole process)")
