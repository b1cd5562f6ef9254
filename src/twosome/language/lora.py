"""LoRA (Hu et al. 2021): trainable low-rank matrices beside frozen weights, implemented by PEFT."""

import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from twosome.config import typed
from twosome.errors import UserError
from twosome.language.tuning import Tuning, read_weights

if TYPE_CHECKING:  # these imports take seconds; options are checked first
    from peft import PeftModel
    from transformers import PreTrainedModel

WEIGHTS = "adapter_model.safetensors"
HALF = "half"  # of LoraConfig.layers
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
class LoraConfig:
    """The options of conf/tuning/lora.yaml: every target matrix W computes W x + (alpha / rank) B A x."""

    rank: int = 8  # rows of A, columns of B
    alpha: float = 16.0  # the adapter's output is scaled by alpha / rank
    dropout: float = 0.0  # dropout probability of the adapter's input in training
    target_modules: list[str] | None = None  # last parts of the layers' names; null: the architecture's default
    layers: int | str | None = None  # with an adapter, counted from the output: a number, half or null for all

    def __post_init__(self) -> None:
        for option, valid, expected in (
            ("rank", self.rank > 0, "an integer above 0"),
            ("alpha", self.alpha > 0, "a positive number"),
            ("dropout", 0 <= self.dropout < 1, "a probability below 1"),
            ("layers", self._layers_are_valid(), "a number of layers above 0, half, or null for all"),
        ):
            if not valid:
                raise UserError(f"tuning.{option}={getattr(self, option)}: expected {expected}")

    def _layers_are_valid(self) -> bool:
        return self.layers in (None, HALF) or (isinstance(self.layers, int) and self.layers > 0)


class Lora(Tuning):
    """Tuning of a LoRA adapter in float32; the base model is frozen. Initially A is Kaiming-uniform and B is zero."""

    export_folder = "adapter"

    def __init__(self, **options: Any) -> None:
        """options: as in LoraConfig. Raises UserError."""
        self.options: LoraConfig = typed(LoraConfig, OmegaConf.create(options), "tuning")

    def apply(self, base: "PreTrainedModel") -> "PeftModel":
        """See Tuning."""
        import peft

        targets, transposed = self._targets(base)
        adapter = peft.LoraConfig(
            task_type=peft.TaskType.SEQ_2_SEQ_LM if base.config.is_encoder_decoder else peft.TaskType.CAUSAL_LM,
            r=self.options.rank,
            lora_alpha=self.options.alpha,  # type: ignore[arg-type]  # annotated int, but only ever divided by r
            lora_dropout=self.options.dropout,
            target_modules=targets,
            fan_in_fan_out=transposed,
            layers_to_transform=self._layers(base),
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft 0.21 on transformers 5.23
            model: PeftModel = peft.get_peft_model(base, adapter)  # float32 by default
        # The name of the base model in adapter_config.json: not a path into the suite's cache.
        adapter.base_model_name_or_path = base.name_or_path
        adapter.target_modules = targets  # PEFT makes it a set, whose order in the file differs from process to process
        return model

    def _targets(self, base: "PreTrainedModel") -> tuple[list[str], bool]:
        """Return the target layers' names, and whether weights are stored as (in, out), as GPT-2's are."""
        from torch import nn
        from transformers.pytorch_utils import Conv1D

        layers = {name: layer for name, layer in base.named_modules() if isinstance(layer, nn.Linear | Conv1D)}
        names = {name.rsplit(".", 1)[-1] for name in layers} - {"lm_head", "embed_out"}
        targets = list(self.options.target_modules or _default_targets(base.config.model_type, names))
        for target in targets:
            if not any(name == target or name.endswith(f".{target}") for name in layers):
                raise UserError(
                    f"tuning.target_modules={targets}: {base.config.model_type} has no linear layer named {target}; "
                    f"expected some of {', '.join(sorted(names))}"
                )
        return targets, any(isinstance(layer, Conv1D) for layer in layers.values())

    def _layers(self, base: "PreTrainedModel") -> list[int] | None:
        """Return the numbers of the layers that get an adapter; None: all."""
        depth, wanted = base.config.get_text_config().num_hidden_layers, self.options.layers
        if wanted == HALF:
            wanted = None if base.config.is_encoder_decoder else (depth + 1) // 2
        if wanted is not None and base.config.is_encoder_decoder:
            raise UserError(
                f"tuning.layers={wanted}: {base.config.model_type} has an encoder and a decoder, expected null for all layers; "
                "leave the option out"
            )
        if isinstance(wanted, int) and wanted > depth:
            raise UserError(
                f"tuning.layers={wanted}: {base.config.model_type} has {depth} layers; set at most that, or null for all"
            )
        return list(range(depth - wanted, depth)) if isinstance(wanted, int) else None

    def reference(self, model: "PeftModel") -> AbstractContextManager[Any]:
        """Disable the adapter within the context; see Tuning."""
        return model.disable_adapter()

    def is_reference(self, model: "PeftModel") -> bool:
        """Return whether all B matrices are 0, as before the first update; see Tuning."""
        return not any(bool(weight.any()) for name, weight in model.named_parameters() if "lora_B" in name)

    def export(self, model: "PeftModel", folder: Path) -> None:
        """Write the adapter in PEFT's format: adapter_config.json and adapter_model.safetensors.

        By default PEFT looks up on huggingface.co whether the vocabulary was resized; the suite never resizes it.
        """
        model.save_pretrained(str(folder), save_embedding_layers=False)

    def load(self, model: "PeftModel", folder: Path) -> None:
        """Load the adapter's weights from safetensors; see Tuning.

        Raises UserError if the file is missing or damaged, or if its names or shapes differ from the adapter's.
        """
        from peft.utils.save_and_load import get_peft_model_state_dict, set_peft_model_state_dict

        own = get_peft_model_state_dict(model, save_embedding_layers=False)
        found = read_weights(self.export_folder, folder / WEIGHTS, {name: tuple(value.shape) for name, value in own.items()})
        set_peft_model_state_dict(model, found)

    def merged(self, model: "PeftModel") -> "PreTrainedModel":
        """Add each adapter's product B A, scaled, to its matrix; see Tuning."""
        merged: PreTrainedModel = model.merge_and_unload()
        return merged

    def train(self, model: "PeftModel", mode: bool) -> None:
        """Switch LoRA's dropout. The frozen model's dropout stays off: it would change the policy between rollout and update."""
        model.eval()
        for name, module in model.named_modules():
            if "lora_dropout" in name:
                module.train(mode)


def _default_targets(model_type: str, names: set[str]) -> list[str]:
    """Return the default targets of a family. names: the last parts of its linear layers' names."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as PEFTS

    known = PEFTS.get(model_type)
    if isinstance(known, list) and names.issuperset(known):
        return known
    return list(next((each for each in DEFAULT_TARGETS if names.issuperset(each)), DEFAULT_TARGETS[0]))
