"""Log-probabilities of single tokens by slices of the vocabulary are those of the whole softmax, and so are their gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers.modeling_outputs import CausalLMOutput

from twosome.language import packed_linear
from twosome.language.loading import LanguageModel
from twosome.language.packed_linear import PackedLinear, plain_products
from twosome.language.vocabulary import OutputLayer


class Model(nn.Module):
    """The outside of a model of transformers: a backbone that is never called, an output layer, and what bounds its logits."""

    def __init__(self, head: nn.Module, softcap: float | None) -> None:
        super().__init__()
        self.model, self.lm_head, self.softcap = nn.Identity(), head, softcap

    @property
    def base_model(self) -> nn.Module:
        return self.model

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def forward(self, **inputs: object) -> CausalLMOutput:
        logits = self.lm_head(self.model(**inputs)[0])
        return CausalLMOutput(logits=self.softcap * torch.tanh(logits / self.softcap) if self.softcap else logits)


def output_layer(head: nn.Module, softcap: float | None = None) -> OutputLayer:
    return OutputLayer(LanguageModel(Model(head, softcap), None, "", "fake"))


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    torch.manual_seed(0)


def head_of(vocabulary: int, hidden: int, scale: float = 1.0, bias: bool = False) -> nn.Linear:
    layer = nn.Linear(hidden, vocabulary, bias=bias).requires_grad_(False)
    layer.weight.mul_(scale)
    return layer


def edges_of(states: Tensor, vocabulary: int, count: int) -> tuple[Tensor, Tensor]:
    return torch.randint(len(states), (count,)), torch.randint(vocabulary, (count,))


def by_softmax(head: nn.Linear, states: Tensor, source: Tensor, target: Tensor, softcap: float | None = None) -> Tensor:
    out = head(states)
    if softcap:
        out = softcap * torch.tanh(out / softcap)
    return torch.log_softmax(out, dim=-1)[source, target]


def assert_same(head: nn.Module, layer: nn.Linear, states: Tensor, count: int, softcap: float | None = None) -> None:
    states.requires_grad_()
    source, target = edges_of(states, layer.out_features, count)
    weights = torch.randn(count)
    output = output_layer(head, softcap)
    found, expected = (
        output.edge_log_probs(states, source, target),
        by_softmax(layer, states, source, target, softcap),
    )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    gradients = [torch.autograd.grad(out, states, weights)[0] for out in (found, expected)]
    assert (gradients[0] - gradients[1]).norm() <= 1e-5 * gradients[1].norm() + 1e-6
    with torch.no_grad():
        torch.testing.assert_close(output.edge_log_probs(states, source, target), found)


@settings(max_examples=40, deadline=None)
@given(
    vocabulary=st.integers(2, 90), hidden=st.integers(1, 20), nodes=st.integers(1, 12), count=st.integers(1, 30),
    size=st.integers(1, 100), seed=st.integers(0, 99),
)  # fmt: skip
def test_slices_of_any_size_give_the_whole(vocabulary: int, hidden: int, nodes: int, count: int, size: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = head_of(vocabulary, hidden)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_linear, "SLICE", size)
        packed = PackedLinear(layer)
        assert output_layer(packed).in_slices
        assert_same(packed, layer, torch.randn(nodes, hidden), count)
        assert len(packed.slices()) == -(-vocabulary // size)


def test_sure_predictions_neither_overflow_nor_vanish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_linear, "SLICE", 16)
    layer = head_of(50, 8, scale=60.0)  # logits of hundreds; the last bit of thousands is above 1e-4
    assert_same(PackedLinear(layer), layer, 5 * torch.randn(20, 8), 40)


@pytest.mark.parametrize(("packed", "bias", "softcap"), [(False, False, None), (True, True, None), (True, False, 2.0)])
def test_what_cannot_be_sliced_is_computed_whole(packed: bool, bias: bool, softcap: float | None) -> None:
    layer = head_of(50, 8, scale=3.0, bias=bias)
    head = PackedLinear(layer) if packed else layer
    assert_same(head, layer, torch.randn(6, 8), 20, softcap)
    states = torch.randn(6, 8)
    expected = layer(states) if softcap is None else softcap * torch.tanh(layer(states) / softcap)
    torch.testing.assert_close(output_layer(head, softcap).logits(states), expected)


def test_plain_products_use_no_slices() -> None:
    packed = PackedLinear(head_of(50, 8))
    with plain_products(nn.Sequential(packed)):
        output_layer(packed).edge_log_probs(torch.randn(3, 8), *edges_of(torch.zeros(3), 50, 4))
    assert not packed._slices
