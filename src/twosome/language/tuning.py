"""Tunings: which weights of the language model learn, how they are exported and loaded."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from peft.utils.save_and_load import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from twosome.errors import UserError, check


class Tuning:
    """A method of tuning a language model; this one trains nothing. Each file of conf/tuning configures one.

    ``model`` below is the result of `apply`. A tuning is applied once; the weights that it trains are the model's.
    """

    export_folder: str = ""
    """The name of the folder for `export` and `load`, within a run's folder."""
    learns: bool = True
    """Whether weights of the language model are trained."""

    def weight_dtype(self, dtype: str) -> str:
        """Return the dtype of the weights of a model that computes in this one. Raises UserError if it cannot be tuned so."""
        return dtype

    def apply(self, base: PreTrainedModel) -> nn.Module:
        """Return the model to train, of which only the trainable weights require gradients.

        base: the frozen model, on the CPU. Random initial values come from PyTorch's global generator. Raises UserError if base
        lacks a layer that the options name.
        """
        return base

    def reference(self, model: Any) -> AbstractContextManager[Any]:
        """Make the model compute as before training within the context."""
        return nullcontext()

    def is_reference(self, model: Any) -> bool:
        """Return whether the model still computes as before training."""
        return True

    def export(self, model: Any, folder: Path) -> None:
        """Write the learned weights into a new folder, as safetensors and JSON only."""

    def load(self, model: Any, folder: Path) -> None:
        """Load the weights that `export` wrote, in place. Raises UserError if they do not fit the model."""

    def merged(self, model: Any) -> PreTrainedModel:
        """Return the model with the learned weights as transformers knows it. Do not use ``model`` afterwards."""
        base: PreTrainedModel = model
        return base

    def train(self, model: Any, mode: bool) -> None:
        """Switch to training mode or back. By default the model stays in eval mode, without dropout."""
        model.eval()


class Frozen(Tuning):
    """No tuning: all weights are frozen."""

    learns = False


class Head(Frozen):
    """All weights of the language model are frozen, and the heads on its states learn: policy_head=actions and the value head."""

    export_folder = "head"

    def export(self, model: Any, folder: Path) -> None:
        """Make the folder, for the policy head."""
        folder.mkdir(parents=True)


class Full(Tuning):
    """All weights of the language model learn, in float32 (GLAM, section 3.2).

    With model.dtype=bfloat16 the model computes with copies of the weights in bfloat16. The weights before training are a second
    copy of the model, on its device: drift and retention are measured against it.
    """

    export_folder = "model"
    weights = "model.safetensors"

    def __init__(self) -> None:
        self._before: dict[str, Tensor] = {}

    def weight_dtype(self, dtype: str) -> str:
        """Return float32, in which small updates are not lost."""
        if dtype == "float16":  # gradients would need loss scaling
            raise UserError("model.dtype=float16: expected float32 or bfloat16 with tuning=full; set it, or use tuning=lora")
        return "float32"

    def apply(self, base: PreTrainedModel) -> PreTrainedModel:
        """Keep a copy of all weights, and make them trainable."""
        self._before = {name: weight.detach().clone() for name, weight in base.named_parameters()}
        return base.requires_grad_(True)

    @contextmanager
    def reference(self, model: PreTrainedModel) -> Iterator[None]:
        """Exchange the weights for those before training within the context."""
        before = self._on_device(model)
        now = {name: weight.data for name, weight in model.named_parameters()}
        try:
            for name, weight in model.named_parameters():
                weight.data = before[name]
            yield
        finally:
            for name, weight in model.named_parameters():
                weight.data = now[name]

    def is_reference(self, model: PreTrainedModel) -> bool:
        """Return whether no weight has changed."""
        before = self._on_device(model)
        return all(bool((weight == before[name]).all()) for name, weight in model.named_parameters())

    def _on_device(self, model: PreTrainedModel) -> dict[str, Tensor]:
        self._before = {name: weight.to(model.device) for name, weight in self._before.items()}  # moves them once
        return self._before

    def export(self, model: PreTrainedModel, folder: Path) -> None:
        """Write config.json and model.safetensors, which AutoModelForCausalLM or AutoModelForSeq2SeqLM.from_pretrained loads."""
        folder.mkdir(parents=True)
        model.config.save_pretrained(folder)
        weights = {name: weight.detach().contiguous() for name, weight in self._state(model).items()}
        save_file(weights, folder / self.weights, metadata={"format": "pt"})

    def load(self, model: PreTrainedModel, folder: Path) -> None:
        """Load model.safetensors."""
        own = self._state(model)
        found = read_weights(folder / self.weights, own)
        with torch.no_grad():
            for name, weight in found.items():
                own[name].copy_(weight)

    def _state(self, model: PreTrainedModel) -> dict[str, Tensor]:
        """Return weights and persistent buffers by name, shared ones once. (BART has a buffer: the bias of its logits.)"""
        persistent = model.state_dict().keys()
        buffers = {name: each for name, each in model.named_buffers() if name in persistent}
        return {**dict(model.named_parameters()), **buffers}


DEFAULT_TARGETS = (
    ("q_proj", "v_proj"),
    ("q", "v"),
    ("query", "value"),
    ("query_proj", "value_proj"),
    ("Wq", "Wv"),
    ("query_key_value",),
    ("qkv_proj",),
    ("c_attn",),
    ("Wqkv",),
    ("q_b_proj", "kv_b_proj"),  # DeepSeek, MiniCPM3: queries and values from a compressed state
    ("in_proj",),  # Mamba
    ("receptance", "value"),  # RWKV
)
"""The projections of queries and values (Hu et al. 2021, section 4.2; TWOSOME does the same), or the layers that compute them, by
the names that families give them. The first that a model has are the default, unless PEFT's own table has its family."""


@dataclass
class Lora(Tuning):
    """LoRA (Hu et al. 2021) by PEFT: each target matrix W computes W x + (alpha / rank) B A x, with A and B in float32.

    The base model is frozen. Initially A is Kaiming-uniform and B is zero.

    rank: the number of rows of A and of columns of B. dropout: of the adapter's input in training. target_modules: the last parts
    of the layers' names; None: the architecture's default. layers: the number of layers with an adapter, counted from the output;
    "half" of them, or None for all.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    target_modules: list[str] | None = None
    layers: int | str | None = None

    export_folder = "adapter"
    weights = "adapter_model.safetensors"

    def __post_init__(self) -> None:
        check(self.rank > 0, "tuning.rank", self.rank, "an integer above 0")
        known = self.layers in (None, "half") or (isinstance(self.layers, int) and self.layers > 0)
        check(known, "tuning.layers", self.layers, "a number of layers above 0, half, or null for all")

    def apply(self, base: PreTrainedModel) -> peft.PeftModel:
        """Add the adapter."""
        targets, transposed = self._targets(base)
        adapter = peft.LoraConfig(
            task_type=peft.TaskType.SEQ_2_SEQ_LM if base.config.is_encoder_decoder else peft.TaskType.CAUSAL_LM,
            r=self.rank,
            lora_alpha=float(self.alpha),  # type: ignore[arg-type]  # annotated int, but only ever divided by r
            lora_dropout=self.dropout,
            target_modules=targets,
            fan_in_fan_out=transposed,
            layers_to_transform=self._layers(base),
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft 0.21 on transformers 5.23
            model: peft.PeftModel = peft.get_peft_model(base, adapter)  # float32 by default
        # The name of the base model in adapter_config.json: not a path into the suite's cache.
        adapter.base_model_name_or_path = base.name_or_path
        adapter.target_modules = targets  # PEFT makes it a set, whose order in the file differs from process to process
        return model

    def _targets(self, base: PreTrainedModel) -> tuple[list[str], bool]:
        """Return the last parts of the target layers' names, and whether weights are stored as (in, out), as GPT-2's are."""
        layers = {name: layer for name, layer in base.named_modules() if isinstance(layer, nn.Linear | Conv1D)}
        names = {name.rsplit(".", 1)[-1] for name in layers} - {"lm_head", "embed_out"}
        targets = list(self.target_modules or _default_targets(base.config.model_type, names))
        return targets, any(isinstance(layer, Conv1D) for layer in layers.values())

    def _layers(self, base: PreTrainedModel) -> list[int] | None:
        """Return the numbers of the layers that get an adapter; None: all."""
        depth, wanted, model_type = base.config.get_text_config().num_hidden_layers, self.layers, base.config.model_type
        if wanted == "half":
            wanted = None if base.config.is_encoder_decoder else (depth + 1) // 2
        if not isinstance(wanted, int):
            return None
        if base.config.is_encoder_decoder:
            raise UserError(f"tuning.layers={wanted}: {model_type} has an encoder and a decoder, expected null for all layers")
        if wanted > depth:
            raise UserError(f"tuning.layers={wanted}: {model_type} has {depth} layers; set at most that, or null for all")
        return list(range(depth - wanted, depth))

    def reference(self, model: peft.PeftModel) -> AbstractContextManager[Any]:
        """Disable the adapter within the context."""
        return model.disable_adapter()

    def is_reference(self, model: peft.PeftModel) -> bool:
        """Return whether all B matrices are 0, as before the first update."""
        return not any(bool(weight.any()) for name, weight in model.named_parameters() if "lora_B" in name)

    def export(self, model: peft.PeftModel, folder: Path) -> None:
        """Write the adapter in PEFT's format: adapter_config.json and adapter_model.safetensors.

        By default PEFT looks up on huggingface.co whether the vocabulary was resized; the suite never resizes it.
        """
        model.save_pretrained(str(folder), save_embedding_layers=False)

    def load(self, model: peft.PeftModel, folder: Path) -> None:
        """Load adapter_model.safetensors."""
        own = get_peft_model_state_dict(model, save_embedding_layers=False)
        set_peft_model_state_dict(model, read_weights(folder / self.weights, own))

    def merged(self, model: peft.PeftModel) -> PreTrainedModel:
        """Add each adapter's product B A, scaled, to its matrix."""
        merged: PreTrainedModel = model.merge_and_unload()
        return merged

    def train(self, model: peft.PeftModel, mode: bool) -> None:
        """Switch LoRA's dropout. The frozen model's dropout stays off: it would change the policy between rollout and update."""
        model.eval()
        for name, module in model.named_modules():
            if "lora_dropout" in name:
                module.train(mode)


def _default_targets(model_type: str, names: set[str]) -> list[str]:
    """Return the default targets of a family. names: the last parts of its linear layers' names."""
    known = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(model_type)
    if isinstance(known, list) and names.issuperset(known):
        return known
    return list(next((each for each in DEFAULT_TARGETS if names.issuperset(each)), DEFAULT_TARGETS[0]))


def read_weights(file: Path, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a safetensors file by name; raise UserError unless they have the names and shapes of own."""
    found: dict[str, Tensor] = load_file(file)
    if {name: value.shape for name, value in found.items()} != {name: value.shape for name, value in own.items()}:
        raise UserError(
            f"{file}: its weights have other names or shapes than this agent's; expected the run's options, and its observation "
            "and actions if the agent reads symbolic ones"
        )
    return found
