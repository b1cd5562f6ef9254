"""tuning=full in bfloat16: products are in bfloat16, weights, gradients and small updates in float32."""

from typing import Any

import pytest
import torch
from devices import devices
from scoring_tools import DECISIONS, adapter, gradients
from torch import nn

from twosome.language import norms
from twosome.language.engine import MASKED, Engine
from twosome.language.gate import engine_of
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.tiny import ARCHITECTURES, ENCODER_DECODERS
from twosome.language.tuning import Full

architectures = pytest.mark.parametrize("architecture", ARCHITECTURES | ENCODER_DECODERS)


def engine(architecture: str, dtype: str, **options: Any) -> Engine:
    options = {"source": "tiny_random", "architecture": architecture, "device": "cpu"} | options
    return engine_of(load_language_model(ModelConfig(**options, dtype=dtype), Full()), norms.token)


def loss(found: Engine) -> torch.Tensor:
    scores = found.score(DECISIONS)
    assert scores.scores.dtype == scores.prompt_states.dtype == torch.float32
    policy = scores.log_policy()
    return policy[policy > MASKED / 2].mean() + scores.prompt_states.square().mean()


@devices
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@architectures
def test_products_are_in_bfloat16_and_gradients_in_float32(architecture: str, attention: str, device: str) -> None:
    options = {"attn_implementation": attention, "device": device}
    plain, mixed = engine(architecture, "float32", **options), engine(architecture, "bfloat16", **options)
    kinds: set[torch.dtype] = set()
    for module in mixed.lm.model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda _, __, output: kinds.add(output.dtype))
    torch.testing.assert_close(mixed.score(DECISIONS).scores, plain.score(DECISIONS).scores, atol=0.25, rtol=0)
    assert architecture == "gpt2" or torch.bfloat16 in kinds  # its layers are of another class
    assert not torch.equal(mixed.score(DECISIONS).scores, plain.score(DECISIONS).scores)
    expected, found = gradients(plain.lm.model, loss(plain)), gradients(mixed.lm.model, loss(mixed))
    assert {gradient.dtype for gradient in found.values()} == {torch.float32}
    one, other = (torch.cat([gradient.flatten() for gradient in each.values()]) for each in (found, expected))
    assert (one - other).norm() < 0.1 * other.norm()


@architectures
def test_weights_are_those_of_float32_and_small_updates_add_up(architecture: str) -> None:
    plain, mixed = engine(architecture, "float32"), engine(architecture, "bfloat16")
    assert mixed.lm.dtype == "bfloat16"
    assert mixed.lm.checksum == plain.lm.checksum
    for name, weight in adapter(mixed.lm.model).items():
        assert torch.equal(weight, adapter(plain.lm.model)[name])
    before = mixed.score(DECISIONS).scores.detach()
    weights = list(adapter(mixed.lm.model).values())
    optimizer = torch.optim.SGD(weights, lr=1.0)
    for _ in range(200):  # each step is a hundredth of what bfloat16 resolves, and together they are more than that
        for weight in weights:
            weight.grad = weight.detach() * -2e-5
        optimizer.step()
    first = next(iter(adapter(plain.lm.model).values()))
    torch.testing.assert_close(weights[0], 1.004 * first, rtol=1e-4, atol=1e-6)
    assert not torch.equal(mixed.score(DECISIONS).scores, before)
    with mixed.reference():
        torch.testing.assert_close(mixed.score(DECISIONS).scores, before, atol=1e-6, rtol=0)
