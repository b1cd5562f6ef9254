"""Divide a rollout into minibatches, and weigh its samples."""

from collections import Counter
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor


def of_samples(samples: int, parts: int, generator: torch.Generator) -> list[Tensor]:
    """Return the indices of shuffled samples in equal parts. One part is not shuffled."""
    order = torch.randperm(samples, generator=generator) if parts > 1 else torch.arange(samples)
    return list(order.chunk(parts))


def of_decisions(keys: Sequence[Hashable], sizes: Sequence[int], parts: int, generator: torch.Generator) -> list[Tensor]:
    """Return the indices of the samples of shuffled decisions, in parts that share no decision and have about the same size.

    keys: of each sample, equal for samples of one decision. sizes: of each sample's decision, what it costs to evaluate it.
    Where there are fewer decisions than parts, each part has one decision, and there are fewer parts.
    """
    samples: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        samples.setdefault(key, []).append(index)
    distinct = list(samples.values())
    chosen: list[list[int]] = [[] for _ in range(min(parts, len(distinct)))]
    loads = [0] * len(chosen)
    for number in torch.randperm(len(distinct), generator=generator).tolist():
        lightest = loads.index(min(loads))
        chosen[lightest] += distinct[number]
        loads[lightest] += sizes[distinct[number][0]]
    return [torch.tensor(sorted(indices)) for indices in chosen]


def count_weights(keys: Sequence[Hashable], exponent: float) -> Tensor:
    """Return a weight for each sample, (n,), with mean 1: proportional to count**-exponent, where count samples have its key."""
    counts = Counter(keys)
    weights = torch.tensor([counts[key] ** -exponent for key in keys], dtype=torch.float64)
    return (weights / weights.mean()).float()
