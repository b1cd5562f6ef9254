"""Loading: every source gives a frozen base with a float32 adapter, repeatably."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from loading_tools import PROMPT, load, logits, same, save, weights
from peft import PeftModel
from transformers import AutoModelForCausalLM

from twosome.language import checkpoints, tiny
from twosome.language.config import ModelConfig
from twosome.language.loading import LanguageModel, load_language_model
from twosome.language.lora import Lora
from twosome.language.tuning import Frozen

HUBS = {"path", "trust_remote_code", "allow_pickle"}
ROOT = Path(__file__).parents[2]
architectures = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)


def disturb_adapter(language: LanguageModel) -> None:
    with torch.no_grad():
        for parameter in language.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.5)


@architectures
def test_a_seed_fixes_all_weights_and_the_checksum(architecture: str) -> None:
    one, again, other = load(architecture, seed=1), load(architecture, seed=1), load(architecture, seed=2)
    assert same(weights(one), weights(again))
    assert one.checksum == again.checksum != other.checksum
    for name, value in weights(one).items():  # all but LoRA's B, which begins at zero
        assert "lora_B" in name or not torch.equal(value, weights(other)[name]), name


@architectures
def test_global_random_states_are_neither_read_nor_moved(architecture: str) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one = load(architecture)
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(8)
    assert same(weights(one), weights(load(architecture)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@architectures
def test_only_the_adapter_trains_in_float32(architecture: str, dtype: str) -> None:
    model = load(architecture, dtype=dtype).model
    assert not model.training
    trainable = {name: value for name, value in model.named_parameters() if value.requires_grad}
    assert trainable
    assert all("lora_" in name and value.dtype == torch.float32 for name, value in trainable.items())
    frozen = [value for name, value in model.named_parameters() if "lora_" not in name]
    narrow = [value for value in frozen if value.dtype == getattr(torch, dtype)]
    assert narrow
    assert not any(value.requires_grad for value in frozen)
    if dtype == "bfloat16" and architecture != "gpt2":  # only the weights of packed layers; see packed_linear.py
        assert all(value.dtype == torch.float32 for value in frozen if not any(value is each for each in narrow))
    else:
        assert len(narrow) == len(frozen)


@architectures
def test_the_base_is_what_remains_with_the_adapter_off(architecture: str) -> None:
    language = load(architecture)
    base = logits(load(architecture, Frozen()))
    assert torch.equal(logits(language), base)  # B is zero at first
    disturb_adapter(language)
    assert not torch.allclose(logits(language), base, atol=1e-2)
    with language.model.disable_adapter():
        assert torch.equal(logits(language), base)


def test_rank_zero_trains_nothing() -> None:
    model = load(tuning=Frozen()).model
    assert not isinstance(model, PeftModel)
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("architecture", "options", "expected"),
    [
        ("llama", {}, {"q_proj", "v_proj"}),
        ("gpt2", {}, {"c_attn"}),
        ("gpt_neox", {}, {"query_key_value"}),
        ("qwen2", {"target_modules": ["o_proj"]}, {"o_proj"}),
    ],
)
def test_target_modules(architecture: str, options: dict[str, object], expected: set[str]) -> None:
    model = load(architecture, Lora(rank=2, **options)).model
    assert {name.split(".lora_")[0].rsplit(".", 1)[1] for name, _ in model.named_parameters() if "lora_" in name} == expected


@architectures
def test_attention_implementations_agree(architecture: str) -> None:
    eager = load(architecture, attn_implementation="eager")
    assert eager.model.config._attn_implementation == "eager"
    torch.testing.assert_close(logits(eager), logits(load(architecture)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@given(text=st.text(max_size=40).filter(lambda text: "<" not in text))  # "<bos>" is a token
def test_tiny_tokenizers_round_trip_any_text(architecture: str, text: str) -> None:
    tokenizer = tiny.build_tokenizer(architecture)
    ids = tokenizer(text, add_special_tokens=True)["input_ids"]
    assert (ids[:1] == [tokenizer.convert_tokens_to_ids("<bos>")]) == (architecture in tiny.TEMPLATES)
    plain = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(plain) == text


def test_tiny_models_are_the_same_in_another_process() -> None:
    script = "from twosome.language.loading import *\n" + (
        "m = load_language_model(ModelConfig(source='tiny_random'))\n"
        f"print(m.tokenizer({PROMPT!r})['input_ids'], m.checksum, sum(p.sum().item() for p in m.model.parameters()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": "77"}
    output = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    here = load(tuning=Frozen())
    total = sum(parameter.sum().item() for parameter in here.model.parameters())
    assert output.stdout.strip() == f"{here.tokenizer(PROMPT)['input_ids']} {here.checksum} {total}"


@architectures
def test_a_saved_model_loads_from_its_folder(architecture: str, tmp_path: Path) -> None:
    folder, original = save(tmp_path / "model", architecture), load(architecture)
    again = load_language_model(ModelConfig(source="hf", path=str(folder)))
    assert torch.equal(logits(again), logits(original))
    for text in (PROMPT, " pick up", "new\n\nline  3", "héé"):
        assert again.tokenizer(text)["input_ids"] == original.tokenizer(text)["input_ids"]
    assert again.checksum == checkpoints.checksum([folder / "model.safetensors"])
    assert again.name == str(folder)


def test_shards_are_read_and_hashed_like_sha256sum(tmp_path: Path) -> None:
    folder = save(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="100KB")
    files = checkpoints.weight_files(folder, str(folder), allow_pickle=False)
    assert len(files) > 1
    again = load_language_model(ModelConfig(source="hf", path=str(folder)))
    assert torch.equal(logits(again), logits(load()))
    listed = subprocess.run("sha256sum model-*.safetensors | sha256sum", shell=True, cwd=folder, capture_output=True, text=True)
    assert again.checksum == listed.stdout.split()[0]


def test_random_takes_the_architecture_but_not_the_weights(tmp_path: Path) -> None:
    folder = save(tmp_path / "model")
    (folder / "model.safetensors").unlink()  # not even looked at
    one, again, other = (load_language_model(ModelConfig(source="hf", path=str(folder), random=True, seed=s)) for s in (3, 3, 4))
    assert same(weights(one), weights(again))
    assert one.checksum == again.checksum != other.checksum


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "t5", "bart"])
def test_random_weights_keep_the_embeddings_that_are_asked_for(architecture: str, tmp_path: Path) -> None:
    """GLAM's NPE. Tied output layers are the embeddings, so they are kept as well."""
    folder = save(tmp_path / "model", architecture)
    options = {"source": "hf", "path": str(folder), "device": "cpu", "packed_weights": False, "seed": 5}
    whole, fresh, kept = (
        load_language_model(ModelConfig(**options, **more))
        for more in ({}, {"random": True}, {"random": True, "keep_embeddings": True})
    )
    embedding, tied = whole.base.get_input_embeddings().weight, {whole.base.get_input_embeddings().weight.data_ptr()}
    assert torch.equal(kept.base.get_input_embeddings().weight, embedding)
    assert not torch.equal(fresh.base.get_input_embeddings().weight, embedding)
    others = [name for name, weight in whole.base.named_parameters() if weight.data_ptr() not in tied and weight.ndim > 1]
    assert others
    for name in others:
        assert torch.equal(kept.base.get_parameter(name), fresh.base.get_parameter(name))
        assert not torch.equal(kept.base.get_parameter(name), whole.base.get_parameter(name))
    assert len({whole.checksum, fresh.checksum, kept.checksum}) == 3
    assert whole.base.config.tie_word_embeddings == torch.equal(kept.base.get_output_embeddings().weight, embedding)


@architectures
def test_the_exported_adapter_loads_with_peft_alone(architecture: str, tmp_path: Path) -> None:
    language = load(architecture)
    disturb_adapter(language)
    language.tuning.export(language.model, tmp_path / "adapter")
    assert {file.name for file in (tmp_path / "adapter").iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    base = AutoModelForCausalLM.from_pretrained(save(tmp_path / "model", architecture))
    again = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert torch.equal(logits(dataclasses.replace(language, model=again)), logits(language))


@pytest.mark.parametrize("file", sorted((ROOT / "conf" / "model").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_model_config_has_the_options_that_its_source_uses(file: Path) -> None:
    values = yaml.safe_load(file.read_text())
    others = {"smollm2": HUBS | {"architecture"}, "tiny_random": HUBS, "hf": {"architecture"}}[values["source"]]
    assert values.keys() == {item.name for item in dataclasses.fields(ModelConfig)} - others
    ModelConfig(**values)


def test_the_adapters_configuration_names_its_layers_in_the_order_given(tmp_path):
    names = ["v_proj", "o_proj", "q_proj", "k_proj"]
    tuning = Lora(target_modules=names)
    language = load_language_model(ModelConfig(source="tiny_random", device="cpu"), tuning)
    tuning.export(language.model, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"] == names
