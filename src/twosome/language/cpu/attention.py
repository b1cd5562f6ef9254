"""Block-sparse attention over token trees: each node attends to its ancestors and itself.

Most of a tree's attention mask is empty: in a tree of 768 nodes, a node attends to about 60 others. PyTorch's kernel computes
masked pairs as well. Here the nodes are cut into blocks of consecutive nodes, and for each block only the keys and values that
its nodes may attend to are gathered. Nodes of one decision are neighbours, so a block needs few keys.
The function is registered with transformers.AttentionInterface. Without blocks it calls transformers' own function.
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

from twosome.language.tree import Layout, PackedRow, additive_mask, padded_size, starts_of

NAME = "token_tree"
BLOCK = 32
"""Nodes per block. Larger blocks gather fewer keys in total, but compute more masked pairs per node."""


class Blocks(NamedTuple):
    """The attention pattern of a batch of concatenated trees: B blocks with at most K keys each.

    keys: (B, K), the nodes that a block's nodes may attend to, padded with node 0.
    mask: (B, 1, BLOCK, K), added to the attention logits: 0 where a node may attend to a key, the dtype's minimum elsewhere.
    """

    keys: Tensor
    mask: Tensor


def blocks_of(rows: Sequence[PackedRow], dtype: torch.dtype, nodes: int) -> Blocks:
    """Return the blocks of a batch of trees.

    dtype: of the model's hidden states. nodes: the number of nodes of all trees, plus the padding after them.
    """
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


def flat(rows: Sequence[PackedRow], dtype: torch.dtype) -> Layout:
    """Concatenate the trees in one row of `padded_size`, with attention in blocks. dtype: of the model's hidden states."""
    nodes = sum(map(len, rows))
    size = padded_size(nodes)
    ids, depths = torch.zeros(2, 1, size, dtype=torch.long)
    ids[0, :nodes] = torch.tensor([token for row in rows for token in row.ids])
    depths[0, :nodes] = torch.tensor([depth for row in rows for depth in row.depths])
    return Layout(ids, depths, torch.empty(1, 1, 0, 0), torch.arange(nodes), {"blocks": blocks_of(rows, dtype, size)})


def tree_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *,
    blocks: Blocks | None = None, dropout: float = 0.0, scaling: float | None = None, **other: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Compute attention in blocks; the signature is that of attention functions in transformers.AttentionInterface.

    query: (1, heads, nodes, head size). key, value: (1, key-value heads, nodes, head size). attention_mask: ignored if blocks
    are given. Returns (1, nodes, heads, head size), and None for the attention weights.
    """
    if blocks is None:
        other |= {"dropout": dropout, "scaling": scaling}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **other)
    nodes = query.shape[2]
    count, width = blocks.keys.shape
    queries = pad(query[0].transpose(0, 1), (0, 0, 0, 0, 0, count * BLOCK - nodes)).unflatten(0, (count, BLOCK))

    def gather(each: Tensor) -> Tensor:
        rows = each[0].transpose(0, 1).flatten(1).index_select(0, blocks.keys.flatten())
        return rows.view(count, width, each.shape[1], each.shape[3]).transpose(1, 2)

    out = scaled_dot_product_attention(
        queries.transpose(1, 2), gather(key), gather(value), attn_mask=blocks.mask, dropout_p=dropout, scale=scaling,
        enable_gqa=key.shape[1] != query.shape[1],
    )  # fmt: skip
    return out.transpose(1, 2).flatten(0, 1)[:nodes].unsqueeze(0).contiguous(), None


def use_tree_attention(model: PreTrainedModel) -> None:
    """Make the model call tree_attention if it uses PyTorch's SDPA kernel, and no attention of its own."""
    if model.config._attn_implementation == "sdpa" and model.is_backend_compatible():
        model.set_attn_implementation(NAME)


def uses_tree_attention(model: PreTrainedModel) -> bool:
    """Return whether the model's attention is tree_attention, which accepts blocks."""
    return bool(model.config.get_text_config()._attn_implementation == NAME)


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
