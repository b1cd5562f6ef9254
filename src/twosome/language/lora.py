"""LoRA (Hu et al. 2021): low-rank matrices beside frozen weights, by PEFT."""

import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from twosome.config import typed
from twosome.errors import UserError
from twosome.language.tuning import Tuning

if TYPE_CHECKING:  # takes seconds; bad options are told before
    from peft import PeftModel
    from transformers import PreTrainedModel

WEIGHTS = "adapter_model.safetensors"
# The projections that LoRA adapts when the config names none: queries and values (Hu et al. 2021, section 4.2; TWOSOME
# does the same). GPT-2 and GPT-NeoX compute queries, keys and values in one matrix, which is then the one adapted.
DEFAULT_TARGETS = {"gpt2": ["c_attn"], "gpt_neox": ["query_key_value"]}


@dataclass
class LoraConfig:
    """The options of conf/tuning/lora.yaml: W x + (alpha / rank) B A x on every target matrix W."""

    rank: int = 8  # rows of A, columns of B
    alpha: float = 16.0  # the adapter's output is scaled by alpha / rank
    dropout: float = 0.0  # probability, on the adapter's input, while learning
    target_modules: list[str] | None = None  # last parts of the layers' names; null: the architecture's default

    def __post_init__(self) -> None:
        for option, valid, expected in (
            ("rank", self.rank > 0, "an integer above 0"),
            ("alpha", self.alpha > 0, "a positive number"),
            ("dropout", 0 <= self.dropout < 1, "a probability below 1"),
        ):
            if not valid:
                raise UserError(f"tuning.{option}={getattr(self, option)}: expected {expected}")


class Lora(Tuning):
    """An adapter learns, in float32; the base model is frozen. A is Kaiming-uniform and B zero at first."""

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
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft 0.21 on transformers 5.23
            model: PeftModel = peft.get_peft_model(base, adapter)  # float32 by default
        # What adapter_config.json will call its base: never a path into our cache.
        model.peft_config["default"].base_model_name_or_path = base.name_or_path
        return model

    def _targets(self, base: "PreTrainedModel") -> tuple[list[str], bool]:
        """The layers' names, and whether their weights are (in, out), as GPT-2 stores them."""
        from torch import nn
        from transformers.pytorch_utils import Conv1D

        targets = list(self.options.target_modules or DEFAULT_TARGETS.get(base.config.model_type, ["q_proj", "v_proj"]))
        layers = {name: layer for name, layer in base.named_modules() if isinstance(layer, nn.Linear | Conv1D)}
        candidates = sorted({name.rsplit(".", 1)[-1] for name in layers} - {"lm_head", "embed_out"})
        for target in targets:
            if not any(name == target or name.endswith(f".{target}") for name in layers):
                raise UserError(
                    f"tuning.target_modules={targets}: {base.config.model_type} has no linear layer named {target}; "
                    f"expected some of {', '.join(candidates)}"
                )
        return targets, any(isinstance(layer, Conv1D) for layer in layers.values())

    def reference(self, model: "PeftModel") -> AbstractContextManager[Any]:
        """See Tuning; the adapter is off."""
        return model.disable_adapter()

    def is_reference(self, model: "PeftModel") -> bool:
        """See Tuning; B matrices are all 0 until the first update."""
        return not any(bool(weight.any()) for name, weight in model.named_parameters() if "lora_B" in name)

    def export(self, model: "PeftModel", folder: Path) -> None:
        """Write the adapter in PEFT's format (adapter_config.json, adapter_model.safetensors), for
        ``PeftModel.from_pretrained``.

        PEFT by itself would ask huggingface.co whether the vocabulary had grown, which the suite's never does.
        """
        model.save_pretrained(str(folder), save_embedding_layers=False)

    def load(self, model: "PeftModel", folder: Path) -> None:
        """See Tuning; only safetensors are read. Raises UserError where the file is missing or damaged, or where its names or
        shapes are not exactly the adapter's."""
        from peft.utils.save_and_load import get_peft_model_state_dict, set_peft_model_state_dict
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        file = folder / WEIGHTS
        if not file.is_file():
            raise UserError(f"adapter {folder}: expected {WEIGHTS} in it; train the run again, or name another")
        try:
            found = load_file(file)
        except SafetensorError as error:
            raise UserError(f"adapter {file}: expected a safetensors file ({error}); train the run again") from error
        own = get_peft_model_state_dict(model, save_embedding_layers=False)
        expected = {name: tuple(value.shape) for name, value in own.items()}
        shapes = {name: tuple(value.shape) for name, value in found.items()}
        for name in sorted(expected.keys() | shapes.keys()):
            if expected.get(name) != shapes.get(name):
                raise UserError(
                    f"adapter {file}: {name} has shape {shapes.get(name)}, expected {expected.get(name)}; the run's "
                    "tuning and model settings must be those that it was trained with"
                )
        set_peft_model_state_dict(model, found)

    def train(self, model: "PeftModel", mode: bool) -> None:
        """Only LoRA's own dropout is ever active: the frozen model's would make the policy differ from the one that acted."""
        model.eval()
        for name, module in model.named_modules():
            if "lora_dropout" in name:
                module.train(mode)
