"""docs/scaling.md's table against its formulas, and these against real models and what autograd saves."""

import pytest
import torch
from checkout import ROOT
from transformers import AutoModelForCausalLM, LlamaConfig

from twosome.estimates.capacity import BYTES, CRITIC, SAVED, SHAPES, Shape, needed, table
from twosome.language.loading import LanguageModel
from twosome.language.lora import Lora
from twosome.language.norms import word
from twosome.language.scorer import Scorer
from twosome.language.tiny import build_tokenizer
from twosome.policies.networks import mlp

TEXTS = [
    (f"You see tomato number {number} on the counter and a plate, so you should first", ("wait", "pick up the tomato"))
    for number in range(10)
]


def test_the_page_shows_what_the_formulas_give() -> None:
    assert "\n".join(table()) in (ROOT / "docs" / "scaling.md").read_text()


def llama(shape: Shape, heads: int) -> LlamaConfig:
    """The shape as Hugging Face's LLaMA."""
    return LlamaConfig(
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads * shape.keys // shape.hidden,
        vocab_size=shape.vocabulary,
        tie_word_embeddings=shape.tied,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.name}-{shape.dtype}")
def test_weights_are_those_of_the_model(shape: Shape) -> None:
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(llama(shape, 9 if shape.hidden == 576 else 64))
        assert sum(weight.numel() for weight in base.parameters()) == shape.frozen
        model = Lora().apply(base.requires_grad_(False))
    assert sum(weight.numel() for weight in model.parameters() if weight.requires_grad) == shape.adapter
    critic = mlp(shape.hidden, CRITIC, torch.Generator())
    assert sum(weight.numel() for weight in critic.parameters()) == shape.critic


@pytest.mark.parametrize("dtype", SAVED)
@pytest.mark.parametrize(("hidden", "inner", "heads"), [(576, 1536, 9), (256, 1024, 4)])
def test_activations_are_what_autograd_saves(dtype: str, hidden: int, inner: int, heads: int) -> None:
    """Measured on models that differ by two layers, so that what lies outside of layers drops out."""
    saved = []
    for layers in (1, 3):
        tokenizer = build_tokenizer("llama")
        shape = Shape("", dtype, hidden, inner, layers, hidden, len(tokenizer), tied=True)
        base = AutoModelForCausalLM.from_config(llama(shape, heads), dtype=getattr(torch, dtype), attn_implementation="sdpa")
        tuning = Lora()
        model = tuning.apply(base.requires_grad_(False)).eval()
        scorer = Scorer(LanguageModel(model, tokenizer, "", "", tuning), word)
        weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
        kept: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor, kept: dict[int, torch.Tensor] = kept) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            batches = list(scorer.batches(TEXTS))
        assert batches
        saved.append(sum(t.untyped_storage().nbytes() for at, t in kept.items() if at not in weights))
    per_token = (saved[1] - saved[0]) / 2 / scorer.tokens_computed
    of_hidden, of_inner = SAVED[dtype]
    assert per_token == pytest.approx(of_hidden * hidden + of_inner * inner, rel=0.02)


def test_more_processes_need_less_each_but_never_less_than_activations() -> None:
    for shape in SHAPES:
        totals = [shape.total_bytes(processes) for processes in (2, 4, 8, 1000)]
        assert totals == sorted(totals, reverse=True)
        assert totals[-1] > shape.activation_bytes(2048) + shape.learned_bytes
        assert shape.frozen_bytes(1) == BYTES[shape.dtype] * shape.frozen
        assert needed(shape, 10_000, 2048) == "1"
        assert needed(shape, 0.1, 2048) == ">8"
