"""How a batch of token trees is laid out as a model's input: one tree after another, or a padded row for each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from twosome.language.attention import Blocks, additive_mask, blocks_of
from twosome.language.tree import PackedRow


class Layout(NamedTuple):
    """What a model is given for a batch of trees: B rows of L tokens.

    ids, positions: (B, L).
    mask: (B, 1, L, L), added to the attention's logits.
    blocks: how the nodes attend instead, where they do so in blocks; mask is then empty and fits nothing.
    nodes: (nodes,), where the trees' nodes stand, one tree's after another's, in the B x L places; the others are padding.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    blocks: Blocks | None
    nodes: Tensor

    def run(self, backbone: Any, device: torch.device) -> Tensor:
        """Last hidden states of the trees' nodes, (nodes, hidden), one tree's after another's."""
        blocks = {} if self.blocks is None else {"blocks": self.blocks.to(device)}
        output = backbone(
            input_ids=self.ids.to(device),
            position_ids=self.positions.to(device),
            attention_mask=self.mask.to(device),
            use_cache=False,
            **blocks,
        )
        return output.last_hidden_state.flatten(0, 1)[self.nodes.to(device)]


def kept_size(number: int) -> int:
    """The least of a few sizes, not below number: multiples of 4 up to 64, then eight between one power of two and the next.

    oneDNN compiles a kernel for each number of rows that it multiplies with a weight, and never lets go of the quarter of a
    megabyte that it takes (besides as much in its cache of 1,024 primitives). Token trees come in all sizes, so that the memory
    of a run would grow until each had been met. On average 4 % more is computed.
    """
    step = max(4, 2 ** (number.bit_length() - 4))
    return -(-number // step) * step


def flat(rows: Sequence[PackedRow], dtype: torch.dtype) -> Layout:
    """The trees one after another in a single row, padded to a kept size, their nodes attending in blocks; dtype: of the model's
    hidden states."""
    nodes = sum(map(len, rows))
    size = kept_size(nodes)
    ids, depths = torch.zeros(2, 1, size, dtype=torch.long)
    ids[0, :nodes] = torch.tensor([token for row in rows for token in row.ids])
    depths[0, :nodes] = torch.tensor([depth for row in rows for depth in row.depths])
    return Layout(ids, depths, torch.empty(1, 1, 0, 0), blocks_of(rows, dtype, size), torch.arange(nodes))


def padded(rows: Sequence[PackedRow], dtype: torch.dtype) -> Layout:
    """A row for each tree, all as long as the longest, with a whole mask for each; padding sees itself. dtype: as in flat."""
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    depths, real = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    visible = np.broadcast_to(np.eye(length, dtype=bool), (len(rows), length, length)).copy()
    for place, row in enumerate(rows):
        ids[place, : len(row)], depths[place, : len(row)] = torch.tensor(row.ids), torch.tensor(row.depths)
        real[place, : len(row)] = True
        visible[place, : len(row), : len(row)] = row.ancestors()
    return Layout(ids, depths, additive_mask(visible[:, None], dtype), None, real.flatten().nonzero()[:, 0])
