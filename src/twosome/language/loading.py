"""From a `model` config to a frozen language model with a trainable LoRA adapter, its tokenizer and its checksum."""

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from twosome.errors import UserError
from twosome.language import checkpoints, smollm2, tiny
from twosome.language.attention import use_tree_attention
from twosome.language.config import LoraOptions, ModelConfig, check_options, resolve_device
from twosome.language.packed_linear import pack_frozen_layers

# The projections that LoRA adapts when the config names none: queries and values (Hu et al. 2021, section 4.2; TWOSOME
# does the same). GPT-2 and GPT-NeoX compute queries, keys and values in one matrix, which is then the one adapted.
DEFAULT_TARGETS = {"gpt2": ["c_attn"], "gpt_neox": ["query_key_value"]}


@dataclass
class LanguageModel:
    """A loaded model, in eval mode and on its device; only the adapter's parameters (float32) require gradients."""

    model: PeftModel | PreTrainedModel  # a PeftModel, unless lora.rank is 0
    tokenizer: PreTrainedTokenizerBase
    checksum: str  # sha256, hex: of the weights as distributed, or of a random model's config and seed
    name: str  # for people and for provenance.json


def load_language_model(config: ModelConfig) -> LanguageModel:
    """Load what config describes. Equal configs give equal weights on any device; global random states stay put.

    Raises:
        UserError: one line, where an option of config cannot be met (it names the option and the remedy).
    """
    check_options(config)
    device = resolve_device(config.device)
    with isolated_rng(config.seed):  # built on the CPU, so that a seed means the same weights on every device
        base, tokenizer, checksum, name = _load_base(config)
        if tokenizer.pad_token is None:  # padding is masked wherever it is used, so any token does
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        if (rows := base.get_input_embeddings().get_parameter("weight").shape[0]) < len(tokenizer):
            raise UserError(
                f"model.path={config.path}: the tokenizer has {len(tokenizer)} tokens but the model embeds {rows}; "
                "expected the tokenizer that the model was trained with"
            )
        base.requires_grad_(False)
        use_tree_attention(base)
        model = _add_adapter(base, config.lora)
    if isinstance(model, PeftModel):  # what adapter_config.json will call its base: never a path into our cache
        model.peft_config["default"].base_model_name_or_path = name
    model.to(device)  # type: ignore[arg-type]  # its stub wants the model twice
    if config.packed_weights:
        pack_frozen_layers(model)
    return LanguageModel(model.eval(), tokenizer, checksum, name)


def save_adapter(model: PeftModel, folder: str | Path) -> None:
    """Write the adapter to folder in PEFT's format (adapter_config.json, adapter_model.safetensors).

    PEFT by itself would ask huggingface.co whether the vocabulary had grown, which the suite's never does.
    """
    model.save_pretrained(str(folder), save_embedding_layers=False)


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Inside, torch's CPU generator starts from seed; afterwards it is where it was before.

    Only that generator is seeded: ``torch.manual_seed`` would also reseed every GPU's.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _load_base(config: ModelConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str, str]:
    """The bare model on the CPU, its tokenizer, checksum and name."""
    tokenizer: PreTrainedTokenizerBase
    options: dict[str, Any] = {"dtype": getattr(torch, config.dtype), "attn_implementation": config.attn_implementation}
    if config.source == "tiny_random":
        tokenizer = tiny.build_tokenizer(config.architecture)
        architecture = tiny.build_config(config.architecture, tokenizer)
        model = tiny.spread(AutoModelForCausalLM.from_config(architecture, **options))
        return model, tokenizer, _recipe_checksum(config, architecture), f"tiny_random/{config.architecture}"
    if config.source == "smollm2":
        folder, checksum = smollm2.folder_and_checksum()
        with checkpoints.no_progress_bars():
            return *checkpoints.read(folder, **options), checksum, smollm2.NAME
    folder = checkpoints.find_folder(str(config.path), weights=not config.random, **_trust(config))
    if config.random:
        architecture = checkpoints.read_config(folder, str(config.path), config.trust_remote_code)
        options["trust_remote_code"] = config.trust_remote_code
        model = AutoModelForCausalLM.from_config(architecture, **options)
        tokenizer = checkpoints.read_tokenizer(folder, str(config.path), config.trust_remote_code)
        return model, tokenizer, _recipe_checksum(config, architecture), str(config.path)
    files = checkpoints.weight_files(folder, str(config.path), config.allow_pickle)
    model, tokenizer = checkpoints.read(folder, option_value=str(config.path), **_trust(config), **options)
    return model, tokenizer, checkpoints.checksum(files), str(config.path)


def _trust(config: ModelConfig) -> dict[str, bool]:
    return {"trust_remote_code": config.trust_remote_code, "allow_pickle": config.allow_pickle}


def _recipe_checksum(config: ModelConfig, architecture: Any) -> str:
    """sha256 of all that random weights follow from: the architecture's config, the seed and the dtype."""
    recipe = {key: value for key, value in architecture.to_dict().items() if key not in _NOT_RECIPE}
    text = json.dumps([recipe, config.seed, config.dtype], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


_NOT_RECIPE = {"_name_or_path", "transformers_version", "dtype", "torch_dtype"}


def _add_adapter(base: PreTrainedModel, lora: LoraOptions) -> PeftModel | PreTrainedModel:
    """base with a LoRA adapter on its target layers, or base itself for rank 0."""
    if lora.rank == 0:
        return base
    targets = lora.target_modules or DEFAULT_TARGETS.get(base.config.model_type, ["q_proj", "v_proj"])
    layers = {name: layer for name, layer in base.named_modules() if isinstance(layer, nn.Linear | Conv1D)}
    candidates = sorted({name.rsplit(".", 1)[-1] for name in layers} - {"lm_head", "embed_out"})
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            raise UserError(
                f"model.lora.target_modules={list(targets)}: {base.config.model_type} has no linear layer named "
                f"{target}; expected some of {', '.join(candidates)}"
            )
    transposed = any(isinstance(layer, Conv1D) for layer in layers.values())  # GPT-2 stores (in, out)
    adapter = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # annotated int, but only ever divided by r
        lora_dropout=lora.dropout,
        target_modules=list(targets),
        fan_in_fan_out=transposed,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft 0.21 on transformers 5.23
        return get_peft_model(base, adapter)  # casts the adapter to float32 by default
