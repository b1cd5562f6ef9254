"""Loading tiny models, saving them, and what is compared."""

from pathlib import Path

import torch

from twosome.language.loading import LanguageModel, ModelConfig, load_language_model
from twosome.language.tuning import Frozen, Lora, Tuning

PROMPT = "You notice a tomato on the table. Next, you should pick up the tomato"


def load(architecture: str = "llama", tuning: Tuning | None = None, **options: object) -> LanguageModel:
    """A tiny model, with LoRA unless tuning is given; options: of ModelConfig."""
    return load_language_model(
        ModelConfig(**{"source": "tiny_random", "architecture": architecture, **options}), tuning or Lora()
    )


def weights(language: LanguageModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in language.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@torch.no_grad()
def logits(language: LanguageModel, text: str = PROMPT) -> torch.Tensor:
    ids = torch.tensor([language.tokenizer(text)["input_ids"]])
    return language.model(input_ids=ids).logits[0].float()


def save(folder: Path, architecture: str = "llama", **options: object) -> Path:
    """Write a bare tiny model and its tokenizer to a folder, as anybody would; options: of save_pretrained."""
    language = load(architecture, Frozen())
    language.model.save_pretrained(folder, **options)
    language.tokenizer.save_pretrained(folder)
    return folder
