"""Log-probabilities of single tokens by slices of the vocabulary are those of the whole softmax, and so are their gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_tools import scorer
from torch import Tensor, nn

from twosome.language.cpu import packed_linear
from twosome.language.cpu.packed_linear import PackedLinear, SlicedLogProbs


def assert_same(layer: nn.Linear, states: Tensor, count: int) -> None:
    states.requires_grad_()
    source, target = torch.randint(len(states), (count,)), torch.randint(layer.out_features, (count,))
    weights = torch.randn(count)
    found = SlicedLogProbs.apply(states, PackedLinear(layer), source, target)
    expected = torch.log_softmax(layer(states), dim=-1)[source, target]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    gradients = [torch.autograd.grad(out, states, weights)[0] for out in (found, expected)]
    assert (gradients[0] - gradients[1]).norm() <= 1e-5 * gradients[1].norm() + 1e-6


@settings(max_examples=40, deadline=None)
@given(
    vocabulary=st.integers(2, 90), hidden=st.integers(1, 20), nodes=st.integers(1, 12), count=st.integers(1, 30),
    size=st.integers(1, 100), seed=st.integers(0, 99),
)  # fmt: skip
def test_slices_of_any_size_give_the_whole(vocabulary: int, hidden: int, nodes: int, count: int, size: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = nn.Linear(hidden, vocabulary, bias=False).requires_grad_(False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_linear, "SLICE", size)
        assert len(PackedLinear(layer).slices()) == -(-vocabulary // size)
        assert_same(layer, torch.randn(nodes, hidden), count)


def test_sure_predictions_neither_overflow_nor_vanish(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(packed_linear, "SLICE", 16)
    layer = nn.Linear(8, 50, bias=False).requires_grad_(False)
    layer.weight.mul_(60.0)  # logits of hundreds; the last bit of thousands is above 1e-4
    assert_same(layer, 5 * torch.randn(20, 8), 40)


@pytest.mark.parametrize("packed", [True, False])
def test_only_a_packed_layer_is_sliced(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_linear, "gain", lambda _: 2.0)
    assert scorer(packed_weights=packed).output.in_slices == packed
