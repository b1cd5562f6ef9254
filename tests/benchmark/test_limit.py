"""The limit counts each token in its context once, and takes the slower of products and memory."""

import pytest
import torch
from scoring_tools import scorer

from twosome.benchmark import limit
from twosome.benchmark.cost import Weights, timed
from twosome.benchmark.limit import Limit, Speeds, measured
from twosome.language.tokens import TokenizedDecision

WEIGHTS = Weights(layers=100, head=10, layer_bytes=400, head_bytes=40)
ONE = TokenizedDecision((1, 2, 3), ((4, 5), (4, 6), (7,)))  # nodes 1, 2, 3, 4; 3 and 4 predict
OTHER = TokenizedDecision((1, 2, 8), ((4,),))  # one more node, which predicts


def test_what_a_pass_adds() -> None:
    found = Limit.of([[ONE, ONE], [ONE], [OTHER]], WEIGHTS, backward=False)
    assert (found.tokens, found.projected) == ([4, 0, 1], [2, 0, 1])
    assert found.flops == [2 * (100 * 4 + 10 * 2), 0, 2 * (100 + 10)]
    assert found.bytes == [440, 0, 440]


def test_a_backward_pass_multiplies_again_and_reads_the_layers_again() -> None:
    forward, both = (Limit.of([[ONE]], WEIGHTS, backward) for backward in (False, True))
    assert both.flops == [2 * forward.flops[0]]
    assert both.bytes == [840]


def test_what_the_lower_layers_have_met_is_computed_by_the_upper_ones_only() -> None:
    weights = Weights(layers=100, head=10, layer_bytes=400, head_bytes=40, lower=60, lower_bytes=240)
    found = Limit.of([[ONE], [OTHER]], weights, backward=True, met=[ONE])
    assert (found.tokens, found.projected) == ([4, 1], [2, 1])
    assert found.flops == [4 * (40 * 4 + 10 * 2), 4 * (40 + 10) + 2 * 60]
    assert found.bytes == [40 + 2 * 160, 40 + 2 * 160 + 240]
    assert Limit.of([[ONE], [OTHER]], weights, backward=True).flops[0] == found.flops[0] + 2 * 60 * 4


def test_each_pass_takes_the_longer_of_the_two() -> None:
    found = Limit(tokens=[1, 1], projected=[1, 1], flops=[600.0, 10.0], bytes=[100.0, 100.0])
    assert found.seconds(Speeds({"slow": 50.0, "fast": 100.0}, bandwidth=50.0)) == 6 + 2


def test_the_weights_are_those_of_the_products() -> None:
    engine = scorer("llama")
    found = Weights.of(engine)
    embeddings = engine.backbone.get_input_embeddings().weight.numel()
    assert found.layers + embeddings == sum(parameter.numel() for parameter in engine.backbone.parameters())
    assert found.head == embeddings  # the output layer has the same shape, and is another matrix
    assert (found.layer_bytes, found.head_bytes) == (4 * found.layers, 4 * found.head)
    cost = timed(engine, lambda: engine.score([("You should", ("go", "stay here"))]), backward=True)
    assert cost.tokens > cost.projected > 0
    assert cost.flops == 4 * (found.layers * cost.tokens + found.head * cost.projected)


def test_layers_without_gradient_and_layers_that_are_cached() -> None:
    engine, texts = scorer("llama", layers=1), [("You should", ("go", "stay here"))]
    weights, whole = Weights.of(engine), Weights.of(scorer("llama"))
    assert weights.layers < whole.layers  # one adapter less
    assert 0 < weights.lower < weights.layers
    assert weights.lower_bytes == 4 * weights.lower
    assert whole.learning == 1 > weights.learning
    engine.know([])
    first, second = (timed(engine, lambda: engine.score(texts), backward=1.0) for _ in range(2))
    assert (first.tokens, first.projected) == (second.tokens, second.projected)
    assert second.flops == 4 * (weights.layers * second.tokens + weights.head * second.projected)
    assert first.flops == second.flops + 2 * weights.lower * engine.input_tokens(engine._pack(engine.tokenize(texts)))


def test_speeds_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "TRIAD", 2**20)
    monkeypatch.setattr(limit, "SIZE", 64)
    found = measured(torch.float32, torch.device("cpu"))
    assert "PyTorch" in found.flops
    assert found.peak == max(found.flops.values()) > 1e6
    assert found.bandwidth > 1e6
