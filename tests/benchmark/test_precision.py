"""What bfloat16 changes is measured against the same model in float32."""

from typing import Any

import pytest
import torch
from scoring_tools import DECISIONS, disturb_adapter

from twosome.benchmark.precision import precision
from twosome.language import norms
from twosome.language.config import ModelConfig
from twosome.language.loading import load_language_model
from twosome.language.lora import Lora
from twosome.language.scorer import Scorer
from twosome.policies.language import LanguageAgent
from twosome.policies.value_heads import Frozen


def compared(dtype: str) -> dict[str, Any]:
    agents = []
    for each in (dtype, "float32"):
        lm = load_language_model(ModelConfig(source="tiny_random", device="cpu", dtype=each), Lora())
        disturb_adapter(lm.model)
        agents.append(LanguageAgent(Scorer(lm, norms.word), Frozen(hidden_sizes=[4]), torch.Generator().manual_seed(0)))
    return precision(*agents, list(dict.fromkeys(DECISIONS)))


def test_float32_differs_from_itself_only_by_the_batch() -> None:
    found = compared("float32")
    assert found["from_float32"] == {"mean": 0, "maximum": 0}
    assert found["alone_and_together"]["maximum"] < 1e-4
    assert found["gradient_cosine"] == pytest.approx(1)


def test_bfloat16_differs_a_little() -> None:
    found = compared("bfloat16")
    assert 0 < found["from_float32"]["mean"] <= found["from_float32"]["maximum"] < 0.3
    assert found["alone_and_together"]["maximum"] < 0.3
    assert 0.99 < found["gradient_cosine"] < 1
