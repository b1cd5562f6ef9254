"""The model's input for a batch of token trees: concatenated in one row, or one padded row per tree."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from twosome.language.attention import Blocks, additive_mask, blocks_of
from twosome.language.tree import PackedRow


class Layout(NamedTuple):
    """The model's input for a batch of trees: B rows of L tokens.

    ids, positions: (B, L).
    mask: (B, 1, L, L), added to the attention logits. With blocks it is empty, (1, 1, 0, 0), and not used.
    blocks: the attention pattern in blocks (attention.py), or None if mask is used.
    nodes: (nodes,), the indices of the nodes of all trees, tree by tree, in the B * L positions; the others are padding.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    blocks: Blocks | None
    nodes: Tensor

    def run(self, backbone: Any, device: torch.device) -> Tensor:
        """Run the model; return the last hidden states of the nodes of all trees, tree by tree, (nodes, hidden)."""
        blocks = {} if self.blocks is None else {"blocks": self.blocks.to(device)}
        output = backbone(
            input_ids=self.ids.to(device),
            position_ids=self.positions.to(device),
            attention_mask=self.mask.to(device),
            use_cache=False,
            **blocks,
        )
        return output.last_hidden_state.flatten(0, 1)[self.nodes.to(device)]


def padded_size(number: int) -> int:
    """Round number up to an allowed size: a multiple of 4 up to 64, then one of eight sizes per power of two.

    oneDNN compiles a kernel for each number of rows of a product and never frees its memory: 0.25 MB each, and as much again in
    its cache of 1,024 primitives. Without rounding, the memory of a run would grow with every new size of token tree. Rounding
    adds 4 % of computation on average.
    """
    step = max(4, 2 ** (number.bit_length() - 4))
    return -(-number // step) * step


def flat(rows: Sequence[PackedRow], dtype: torch.dtype) -> Layout:
    """Concatenate the trees in one row of `padded_size`, with attention in blocks. dtype: of the model's hidden states."""
    nodes = sum(map(len, rows))
    size = padded_size(nodes)
    ids, depths = torch.zeros(2, 1, size, dtype=torch.long)
    ids[0, :nodes] = torch.tensor([token for row in rows for token in row.ids])
    depths[0, :nodes] = torch.tensor([depth for row in rows for depth in row.depths])
    return Layout(ids, depths, torch.empty(1, 1, 0, 0), blocks_of(rows, dtype, size), torch.arange(nodes))


def padded(rows: Sequence[PackedRow], dtype: torch.dtype, length: int | None = None) -> Layout:
    """Put each tree in a row of its own, padded to the longest, with dense masks. dtype: of the model's hidden states.

    A padding position attends to itself only. length: of the rows, if more than the longest tree.
    """
    length = length or max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    depths, real = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    visible = np.broadcast_to(np.eye(length, dtype=bool), (len(rows), length, length)).copy()
    for place, row in enumerate(rows):
        ids[place, : len(row)], depths[place, : len(row)] = torch.tensor(row.ids), torch.tensor(row.depths)
        real[place, : len(row)] = True
        visible[place, : len(row), : len(row)] = row.ancestors()
    return Layout(ids, depths, additive_mask(visible[:, None], dtype), None, real.flatten().nonzero()[:, 0])
