"""Attention over token trees in blocks of neighbouring nodes, each of which looks at its own ancestors only.

Most of a tree's mask is empty: a node of a tree of 768 sees some 60 others. PyTorch's kernel computes masked pairs like any
others, so here the nodes are cut into blocks, in their order, which keeps a decision's nodes together, and the keys and values
that a block's nodes may see are gathered for it. Models call this instead of transformers' own function
(transformers.AttentionInterface); where no blocks are given it is that function.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from twosome.language.tree import PackedRow, starts_of

NAME = "token_tree"
BLOCK = 32
"""Nodes in a block: with more, the blocks' keys are fewer in all but each node computes more that it may not see."""


class Blocks(NamedTuple):
    """How the nodes of a batch of trees, one tree after another, attend: B blocks with at most K keys each.

    keys: (B, K), the nodes that a block's nodes may see, padded with node 0.
    mask: (B, 1, BLOCK, K), added to the attention's logits: 0 where a node may see a key, the dtype's least value elsewhere.
    """

    keys: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> "Blocks":
        """The same on a device."""
        return Blocks(self.keys.to(device), self.mask.to(device))


def blocks_of(rows: Sequence[PackedRow], dtype: torch.dtype, nodes: int) -> Blocks:
    """The blocks of a batch of trees; dtype: of the model's hidden states; nodes: the trees', and what is padding behind them."""
    visible = np.zeros((nodes, nodes), dtype=bool)
    for start, row in zip(starts_of(rows), rows, strict=True):
        visible[start : start + len(row), start : start + len(row)] = row.ancestors()
    parts = [visible[first : first + BLOCK] for first in range(0, nodes, BLOCK)]
    seen = [np.flatnonzero(part.any(axis=0)) for part in parts]
    keys = np.zeros((len(parts), max(map(len, seen))), dtype=np.int64)
    allowed = np.zeros((len(parts), 1, BLOCK, keys.shape[1]), dtype=bool)
    for block, (part, columns) in enumerate(zip(parts, seen, strict=True)):
        keys[block, : len(columns)] = columns
        allowed[block, 0, : len(part), : len(columns)] = part[:, columns]
    return Blocks(torch.from_numpy(keys), additive_mask(allowed, dtype))


def additive_mask(allowed: np.ndarray, dtype: torch.dtype) -> Tensor:
    """What is added to the logits of attention, in the shape of allowed: 0 where that is true, else the dtype's least value."""
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill_(~torch.from_numpy(allowed), torch.finfo(dtype).min)


def tree_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *,
    blocks: Blocks | None = None, dropout: float = 0.0, scaling: float | None = None, **other: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """What transformers asks of an attention function.

    query: (1, heads, nodes, size); key, value: (1, key heads, nodes, size); returns (1, nodes, heads, size). With blocks,
    attention_mask is not looked at.
    """
    if blocks is None:
        other |= {"dropout": dropout, "scaling": scaling}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **other)
    nodes = query.shape[2]
    count, width = blocks.keys.shape
    queries = pad(query[0].transpose(0, 1), (0, 0, 0, 0, 0, count * BLOCK - nodes)).unflatten(0, (count, BLOCK))

    def gathered(each: Tensor) -> Tensor:
        rows = each[0].transpose(0, 1).flatten(1).index_select(0, blocks.keys.flatten())
        return rows.view(count, width, each.shape[1], each.shape[3]).transpose(1, 2)

    out = scaled_dot_product_attention(
        queries.transpose(1, 2), gathered(key), gathered(value), attn_mask=blocks.mask, dropout_p=dropout, scale=scaling,
        enable_gqa=key.shape[1] != query.shape[1],
    )  # fmt: skip
    return out.transpose(1, 2).flatten(0, 1)[:nodes].unsqueeze(0).contiguous(), None


def use_tree_attention(model: PreTrainedModel) -> bool:
    """Let a model that computes attention by PyTorch's kernel call tree_attention; returns whether it does.

    Not where the architecture brings an attention of its own.
    """
    able = model.config._attn_implementation == "sdpa" and model.is_backend_compatible()
    if able:
        model.set_attn_implementation(NAME)
    return able


def takes_blocks(model: PreTrainedModel) -> bool:
    """Whether use_tree_attention has been there."""
    return bool(model.config.get_text_config()._attn_implementation == NAME)


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
