"""Tuning of all weights (GLAM, section 3.2). The weights before training are kept beside them, as the reference."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from twosome.errors import UserError
from twosome.language.tuning import Tuning, read_weights

if TYPE_CHECKING:  # these imports take seconds; options are checked first
    from torch import Tensor
    from transformers import PreTrainedModel

WEIGHTS = "model.safetensors"


class Full(Tuning):
    """All weights of the language model learn, in float32. With model.dtype=bfloat16 the model computes with copies in bfloat16.

    The weights before training are a second copy of the model, on its device: drift and retention are measured against it.
    """

    export_folder = "model"

    def __init__(self) -> None:
        self._before: dict[str, Tensor] = {}

    def stored(self, dtype: str) -> str:
        """Return float32, in which small updates are not lost; see Tuning."""
        if dtype == "float16":  # gradients would need loss scaling
            raise UserError("model.dtype=float16: expected float32 or bfloat16 with tuning=full; set it, or use tuning=lora")
        return "float32"

    def apply(self, base: "PreTrainedModel") -> "PreTrainedModel":
        """See Tuning."""
        self._before = {name: weight.detach().clone() for name, weight in base.named_parameters()}
        return base.requires_grad_(True)

    @contextmanager
    def reference(self, model: "PreTrainedModel") -> Iterator[None]:
        """Exchange the weights for those before training within the context; see Tuning."""
        before = self._on_device(model)
        now = {name: weight.data for name, weight in model.named_parameters()}
        try:
            for name, weight in model.named_parameters():
                weight.data = before[name]
            yield
        finally:
            for name, weight in model.named_parameters():
                weight.data = now[name]

    def is_reference(self, model: "PreTrainedModel") -> bool:
        """Return whether no weight has changed; see Tuning."""
        before = self._on_device(model)
        return all(bool((weight == before[name]).all()) for name, weight in model.named_parameters())

    def _on_device(self, model: "PreTrainedModel") -> "dict[str, Tensor]":
        self._before = {name: weight.to(model.device) for name, weight in self._before.items()}  # moves them once
        return self._before

    def export(self, model: "PreTrainedModel", folder: Path) -> None:
        """Write config.json and model.safetensors, which AutoModelForCausalLM or AutoModelForSeq2SeqLM.from_pretrained loads."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True)
        model.config.save_pretrained(folder)
        weights = {name: weight.detach().contiguous() for name, weight in _stored(model).items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    def load(self, model: "PreTrainedModel", folder: Path) -> None:
        """See Tuning. Raises UserError if the file is missing or damaged, or if its names or shapes differ from the model's."""
        import torch

        weights = _stored(model)
        found = read_weights(
            self.export_folder, folder / WEIGHTS, {name: tuple(weight.shape) for name, weight in weights.items()}
        )
        with torch.no_grad():
            for name, weight in found.items():
                weights[name].copy_(weight)


def _stored(model: "PreTrainedModel") -> "dict[str, Tensor]":
    """Return the weights and the persistent buffers by name, shared ones once. (BART has a buffer: the bias of its logits.)"""
    stored = model.state_dict().keys()
    return {**dict(model.named_parameters()), **{name: each for name, each in model.named_buffers() if name in stored}}
