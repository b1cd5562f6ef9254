"""Packed layers give what the plain ones give, forward and backward, and stay out of everybody's way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from checkout import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_tools import DECISIONS, disturb_adapter
from torch import nn

from twosome.language import norms
from twosome.language.cpu import packed_linear
from twosome.language.cpu.packed_linear import PackedLinear, gain, pack_frozen_layers
from twosome.language.engine import MASKED
from twosome.language.loading import ModelConfig, load_language_model, resolve_dtype
from twosome.language.scorer import Scorer
from twosome.language.tuning import Lora


def frozen(inputs: int, outputs: int, bias: bool = False) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)


@settings(max_examples=30)
@given(st.integers(1, 70), st.integers(1, 70), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.booleans())
def test_the_product_and_its_gradient_are_those_of_the_layer(inputs: int, outputs: int, shape: list[int], bias: bool) -> None:
    layer = frozen(inputs, outputs, bias)
    packed = PackedLinear(layer)
    x = torch.randn(*shape, inputs, requires_grad=True)
    direction = torch.randn(*shape, outputs)
    expected, found = layer(x), packed(x)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(out, x, direction)[0] for out in (expected, found)]
    torch.testing.assert_close(gradients[1], gradients[0])


def test_only_frozen_float32_layers_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(nn.Linear):
        pass

    model = nn.Sequential(frozen(4, 4), nn.Linear(4, 4), frozen(4, 4).double(), Other(4, 4).requires_grad_(False), nn.ReLU())
    monkeypatch.setattr(packed_linear, "gain", lambda _: 2.0)
    pack_frozen_layers(model)
    assert [isinstance(layer, PackedLinear) for layer in model] == [True, False, False, False, False]


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma", "gpt_neox"])
def test_a_loaded_model_is_packed(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_linear, "gain", lambda _: 2.0)
    config = ModelConfig(source="tiny_random", architecture=architecture, packed_weights=True)
    packed = load_language_model(config).model
    plain = load_language_model(ModelConfig(source="tiny_random", architecture=architecture, packed_weights=False)).model
    count = sum(isinstance(layer, PackedLinear) for layer in packed.modules())
    assert count == sum(type(layer) is nn.Linear and not layer.weight.requires_grad for layer in plain.modules()) > 0
    assert not any(isinstance(layer, PackedLinear) for layer in plain.modules())
    ids = torch.arange(3, 12)[None]
    torch.testing.assert_close(packed(input_ids=ids).logits, plain(input_ids=ids).logits, atol=1e-5, rtol=1e-5)


@settings(max_examples=20)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 9), st.booleans())
def test_a_bfloat16_layer_rounds_its_input_and_its_product(inputs: int, outputs: int, rows: int, bias: bool) -> None:
    layer = frozen(inputs, outputs, bias)
    layer.weight.data = layer.weight.bfloat16()
    x = torch.randn(rows, inputs, requires_grad=True)
    direction = torch.randn(rows, outputs)
    exact = x.bfloat16().float() @ layer.weight.float().t() + (layer.bias if bias else 0)
    packed = PackedLinear(layer)
    found = packed(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=0.03, rtol=0.01)
    (gradient,) = torch.autograd.grad(found, x, direction)
    torch.testing.assert_close(gradient, direction.bfloat16().float() @ layer.weight.float(), atol=0.05, rtol=0.01)
    packed.plain = True
    torch.testing.assert_close(packed(x), found, atol=0.03, rtol=0.01)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma", "gpt_neox"])
def test_a_bfloat16_model_scores_nearly_as_a_float32_one(architecture: str) -> None:
    policies, gradients = [], []
    for dtype in ("float32", "bfloat16"):
        config = ModelConfig(source="tiny_random", architecture=architecture, device="cpu", dtype=dtype, packed_weights=True)
        language = load_language_model(config, Lora())
        disturb_adapter(language.model)
        log_policy = Scorer(language, norms.token).score(DECISIONS).log_policy()
        log_policy[:, 0].sum().backward()
        policies.append(log_policy.detach())
        gradients.append(torch.cat([weight.grad.flatten() for weight in language.learned()]))
        head = language.base.get_output_embeddings()
        assert head.weight.dtype == torch.float32
        assert sum(isinstance(each, PackedLinear) for each in language.model.modules()) > 1
    real = policies[0] > MASKED
    assert 0 < (policies[0] - policies[1])[real].abs().max() < 0.1
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99


@pytest.mark.parametrize(
    ("amx", "avx512", "speedup", "dtype"),
    [
        (True, True, 0.5, "bfloat16"),
        (False, True, 2.0, "bfloat16"),
        (False, True, 0.5, "float32"),  # reported, but emulated
        (False, False, 2.0, "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_cpu_multiplies_it_faster(
    amx: bool, avx512: bool, speedup: float, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(packed_linear, "gain", lambda _: speedup)
    monkeypatch.setattr(packed_linear, "can_pack", lambda _: True)
    assert load_language_model(ModelConfig(source="tiny_random", device="cpu", dtype="auto")).dtype == dtype
    assert resolve_dtype("float16", "cpu") == "float16"


@pytest.mark.parametrize(("ratio", "packs"), [(1.09, False), (1.11, True)])
def test_float32_is_packed_by_itself_where_it_gains_a_tenth(ratio: float, packs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_linear, "gain", lambda _: ratio)
    model = load_language_model(ModelConfig(source="tiny_random", device="cpu")).model
    assert any(isinstance(layer, PackedLinear) for layer in model.modules()) == packs


def test_the_gain_is_measured_once_per_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOSOME_CACHE", str(tmp_path))
    gain.cache_clear()
    first = gain("float32")
    gain.cache_clear()
    assert gain("float32") == first > 0
    gain.cache_clear()


@pytest.mark.parametrize("damage", ["{", '{"key": 3}', "[]"])
def test_a_damaged_measurement_is_done_again(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOSOME_CACHE", str(tmp_path))
    gain.cache_clear()
    gain("float32")
    (file,) = (tmp_path / "products").iterdir()
    file.write_text(damage)
    gain.cache_clear()
    assert gain("float32") > 0
    gain.cache_clear()


def test_a_gain_that_cannot_be_kept_is_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TWOSOME_CACHE", str(tmp_path / "file"))
    gain.cache_clear()
    assert gain("float32") > 0
    assert capsys.readouterr().err.startswith(f"note: TWOSOME_CACHE={tmp_path / 'file'}: cannot keep results")
    gain.cache_clear()


def test_without_a_home_folder_the_gain_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(packed_linear, "cache_root", nowhere)
    gain.cache_clear()
    assert gain("float32") > 0
    gain.cache_clear()


def test_a_processor_without_bfloat16_computes_the_same(tmp_path: Path) -> None:
    """The scores of a bfloat16 model are equal but for the order of sums, where oneDNN's instructions are limited."""
    words = ["src/probe.py", "model=tiny_random", "model.dtype=bfloat16", "norm=none", "format=json"]
    words += ["prompt=You should first", "actions=[take the bowl, chop the tomato]"]
    found = []
    for limits in ({}, {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}):
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env={**os.environ, **limits, "TWOSOME_CACHE": str(tmp_path)}, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        found.append([row["logprob"] for row in json.loads(done.stdout)])
    assert found[0] == pytest.approx(found[1], abs=0.02)
