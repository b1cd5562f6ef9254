"""The networks of critics and affordances."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from twosome.errors import UserError


def check_hidden_sizes(option: str, sizes: Sequence[int], example: str) -> None:
    """Raise UserError unless an MLP can have hidden layers of these sizes. option: the one that holds them."""
    if min(sizes, default=1) < 1:
        raise UserError(f"{option}={list(sizes)}: expected numbers above 0, as in {example}")


def mlp(inputs: int, hidden_sizes: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Return a float32 MLP, (n, inputs) to (n, 1), with ReLU and without biases, like TWOSOME's critic (1024, 512).

    Weights are drawn from generator, uniformly within 1 / sqrt(fan-in), as PyTorch does by default.
    """
    sizes = [inputs, *hidden_sizes, 1]
    layers = [layer for pair in pairwise(sizes) for layer in (drawn(*pair, generator), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def sigmoid_mlp(sizes: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Return a float32 MLP with layers of these sizes and sigmoids between them, like GLAM's heads; drawn as `drawn` says."""
    layers = [layer for pair in pairwise(sizes) for layer in (drawn(*pair, generator, bias=True), nn.Sigmoid())]
    return nn.Sequential(*layers[:-1])


def drawn(fan_in: int, fan_out: int, generator: torch.Generator, bias: bool = False) -> nn.Linear:
    """Return a float32 linear layer whose weights are drawn from generator, as `mlp` says; so is its bias, if it has one."""
    linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out, bias=bias)
    for parameter in linear.parameters():
        nn.init.uniform_(parameter, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)
    return linear


def drawn_gru(inputs: int, hidden_size: int, generator: torch.Generator) -> nn.GRU:
    """Return a float32 GRU, batch first, whose weights are drawn from generator uniformly within 1 / sqrt(hidden size)."""
    with torch.device("meta"):  # nn.GRU would draw from PyTorch's own generator
        gru = nn.GRU(inputs, hidden_size, batch_first=True)
    gru = gru.to_empty(device="cpu")
    for parameter in gru.parameters():
        nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size), generator=generator)
    return gru
