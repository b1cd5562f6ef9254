"""Networks of critics and affordances."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


def mlp(inputs: int, hidden_sizes: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """inputs -> hidden sizes with ReLU -> 1, without biases, as TWOSOME's critic (1024, 512); float32.

    PyTorch's default initialisation of linear layers (uniform within 1 / sqrt(inputs)), drawn from generator.
    """
    layers: list[nn.Module] = []
    sizes = [inputs, *hidden_sizes, 1]
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out, bias=False)
        bound = 1 / math.sqrt(fan_in)
        nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
