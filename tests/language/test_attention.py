"""Attention in blocks is attention under the trees' whole mask."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tree import many, tree_of
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoConfig, AutoModelForCausalLM

from twosome.language.cpu.attention import BLOCK, NAME, Blocks, blocks_of, tree_attention, use_tree_attention, uses_tree_attention
from twosome.language.tree import PackedRow

forests = st.lists(many.map(tree_of), min_size=1, max_size=4).filter(lambda rows: any(map(len, rows)))


def whole_mask(rows: list[PackedRow]) -> np.ndarray:
    """(nodes, nodes), true where a node may see another: its ancestors and itself, in its own tree."""
    return torch.block_diag(*(torch.from_numpy(row.ancestors()).float() for row in rows)).bool().numpy()


def seen_in(blocks: Blocks, nodes: int) -> np.ndarray:
    """The same from the blocks; a pair that is there twice would count twice in the softmax."""
    count = np.zeros((nodes, nodes), dtype=int)
    for block, (keys, mask) in enumerate(zip(blocks.keys, blocks.mask[:, 0], strict=True)):
        for query, key in np.argwhere((mask == 0).numpy()):
            count[block * BLOCK + query, keys[key]] += 1
    assert count.max() == 1
    return count.astype(bool)


@settings(max_examples=60, deadline=None)
@given(forests)
def test_each_node_sees_itself_and_its_ancestors_once(rows: list[PackedRow]) -> None:
    blocks = blocks_of(rows, torch.float32, sum(map(len, rows)))
    assert np.array_equal(seen_in(blocks, sum(map(len, rows))), whole_mask(rows))
    assert set(blocks.mask.unique().tolist()) <= {0.0, torch.finfo(torch.float32).min}


@settings(max_examples=30, deadline=None)
@given(forests, st.sampled_from([(4, 4), (4, 2), (3, 1)]), st.integers(0, 99))
def test_the_output_and_its_gradients_are_the_whole_masks(rows: list[PackedRow], heads: tuple[int, int], seed: int) -> None:
    torch.manual_seed(seed)
    nodes, (heads_of_queries, heads_of_keys) = sum(map(len, rows)), heads
    inputs = [torch.randn(1, count, nodes, 8, requires_grad=True) for count in (heads_of_queries, heads_of_keys, heads_of_keys)]
    found, weights = tree_attention(
        nn.Module(), *inputs, torch.empty(1, 1, 0, 0), scaling=0.3, blocks=blocks_of(rows, torch.float32, sum(map(len, rows)))
    )
    mask = torch.from_numpy(whole_mask(rows))
    expected = scaled_dot_product_attention(*inputs, attn_mask=mask, scale=0.3, enable_gqa=True).transpose(1, 2)
    assert weights is None
    torch.testing.assert_close(found, expected)
    direction = torch.randn_like(expected)
    for one, other in zip(*(torch.autograd.grad(out, inputs, direction) for out in (found, expected)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_only_pytorch_s_kernel_is_replaced(implementation: str) -> None:
    config = AutoConfig.for_model("llama", hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=implementation)
    use_tree_attention(model)
    assert uses_tree_attention(model) == (implementation == "sdpa")
    assert model.config._attn_implementation == (NAME if implementation == "sdpa" else "eager")
