"""Load the language model, tokenizer and checksum that a `model` config describes."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from twosome import seeding
from twosome.errors import UserError
from twosome.language import checkpoints, gguf_file, smollm2, tiny
from twosome.language.attention import use_tree_attention
from twosome.language.config import ModelConfig, check_options, gguf_path, resolve_device, resolve_dtype
from twosome.language.packed_linear import pack_frozen_layers
from twosome.language.tuning import Frozen, Tuning

if TYPE_CHECKING:
    from twosome.language.gate import Check


@dataclass
class LanguageModel:
    """A loaded model, in eval mode and on its device. Only the weights that tuning trains require gradients."""

    model: Any  # the result of Tuning.apply
    tokenizer: PreTrainedTokenizerBase
    checksum: str  # sha256 (hex) of the distributed weights, or of a random model's config and seed
    name: str  # for messages and provenance.json
    tuning: Tuning = field(default_factory=Frozen)
    dtype: str = "float32"  # of the model's products; also of its weights, unless the tuning stores them in another one
    check: "Check | None" = None  # of the engine (gate.py), when it has been done

    @property
    def base(self) -> Any:
        """The Hugging Face model without PEFT's wrapper."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    @property
    def backbone(self) -> Any:
        """The part of a decoder-only model that computes the last hidden states."""
        return self.base.base_model if self.base.base_model is not self.base else self.base.model

    @property
    def computing_dtype(self) -> torch.dtype:
        """The dtype that activations have: that of the stored weights, unless the tuning stores them in another one than dtype.

        Packed weights in bfloat16 leave activations in float32.
        """
        stored: torch.dtype = self.base.get_input_embeddings().weight.dtype
        return stored if self.tuning.stored(self.dtype) == self.dtype else getattr(torch, self.dtype)

    def computing(self) -> AbstractContextManager[Any]:
        """Make the model compute in its dtype within the context: with copies of the weights where these have another one.

        Enter it for one forward pass, since the copies are kept until it ends.
        """
        weight = self.base.get_input_embeddings().weight
        if weight.dtype == self.computing_dtype:
            return nullcontext()
        return torch.autocast(weight.device.type, self.computing_dtype)

    def reference(self) -> AbstractContextManager[Any]:
        """Make the model compute as before training within the context."""
        return self.tuning.reference(self.model)

    @cached_property
    def text_checksum(self) -> str:
        """The sha256 (hex) of the tokenizer and the architecture, which may change while the weights, and so checksum, stay."""
        tokenizer = (
            self.tokenizer.backend_tokenizer.to_str() if self.tokenizer.is_fast else str(sorted(self.tokenizer.get_vocab()))
        )
        texts = (tokenizer, str(self.tokenizer.init_kwargs), self.base.config.to_json_string())
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

    def learned(self) -> list[nn.Parameter]:
        """Return the trainable weights."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def load_language_model(config: ModelConfig, tuning: Tuning | None = None) -> LanguageModel:
    """Load the language model that config describes. tuning: selects the trainable weights; None: no weights are trainable.

    Equal configs give equal weights on every device. Global random states do not change.

    Raises:
        UserError: the model cannot be loaded as an option of config demands.
    """
    check_options(config)
    tuning = tuning or Frozen()
    dtype = resolve_dtype(config.dtype, config.device)
    config = replace(config, dtype=tuning.stored(dtype))
    device = resolve_device(config.device)
    # Built on the CPU, so that a seed gives the same weights on every device.
    with isolated_rng(seeding.number(config.seed, "model")):
        base, tokenizer, checksum, name = _load_base(config)
        if tokenizer.pad_token is None:  # padding is always masked, so any token can serve
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        if (rows := base.get_input_embeddings().get_parameter("weight").shape[0]) < len(tokenizer):
            raise UserError(
                f"model.path={config.path}: the tokenizer has {len(tokenizer)} tokens but the model embeds {rows}; "
                "expected the tokenizer that the model was trained with"
            )
        base.requires_grad_(False)
        if not base.config.is_encoder_decoder:
            use_tree_attention(base)
        base.name_or_path = name  # not a path into the suite's cache
        model = tuning.apply(base)
    model.to(device)
    if config.packed_weights:
        pack_frozen_layers(model, base.get_output_embeddings(), always=config.packed_weights is True)
    return LanguageModel(model.eval(), tokenizer, checksum, name, tuning, dtype)


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed torch's CPU generator within the context; restore its state afterwards.

    No other generator is seeded. (``torch.manual_seed`` would reseed those of the GPUs as well.)
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _load_base(config: ModelConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str, str]:
    """Return the base model on the CPU, its tokenizer, checksum and name."""
    tokenizer: PreTrainedTokenizerBase
    options: dict[str, Any] = {"dtype": getattr(torch, config.dtype), "attn_implementation": config.attn_implementation}
    if config.source == "tiny_random":
        tokenizer = tiny.build_tokenizer(config.architecture)
        architecture = tiny.build_config(config.architecture, tokenizer)
        model = tiny.spread(checkpoints.model_class(architecture).from_config(architecture, **options))
        return model, tokenizer, _recipe_checksum(config, architecture), f"tiny_random/{config.architecture}"
    if (gguf := _converted(config)) is not None:
        folder, checksum, name = gguf
        with checkpoints.no_progress_bars():
            if config.random:
                return _random(config, folder, name, checksum, options)
            return *checkpoints.read(folder, **options), checksum, name
    path = str(config.path)
    pretrained = config.keep_embeddings or not config.random
    folder = checkpoints.find_folder(path, weights=pretrained, **_trust(config))
    files = checkpoints.weight_files(folder, path, config.allow_pickle) if pretrained else []
    if config.random:
        return _random(config, folder, path, checkpoints.checksum(files) if files else "", options)
    model, tokenizer = checkpoints.read(folder, option_value=path, **_trust(config), **options)
    return model, tokenizer, checkpoints.checksum(files), path


def _converted(config: ModelConfig) -> tuple[Path, str, str] | None:
    """Return the folder, checksum and name of a model that is distributed as a GGUF file; None for another one."""
    if config.source == "smollm2":
        return *smollm2.folder_and_checksum(), smollm2.NAME
    if (file := gguf_path(str(config.path))) is not None:
        return *gguf_file.converted(file), str(config.path)
    return None


def _random(
    config: ModelConfig, folder: Path, name: str, checksum: str, options: dict[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str, str]:
    """Return what `_load_base` does for a model of random weights. checksum: of the pretrained ones, if some are kept."""
    architecture = checkpoints.read_config(folder, name, config.trust_remote_code)
    trusting = options | {"trust_remote_code": config.trust_remote_code}
    with checkpoints.naming(name):
        model = checkpoints.model_class(architecture).from_config(architecture, **trusting)
    recipe = _recipe_checksum(config, architecture)
    if not config.keep_embeddings:
        return model, checkpoints.read_tokenizer(folder, name, config.trust_remote_code), recipe, name
    pretrained, tokenizer = checkpoints.read(folder, option_value=name, **_trust(config), **options)
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(pretrained.get_input_embeddings().get_parameter("weight"))
    return model, tokenizer, hashlib.sha256(f"{recipe} {checksum}".encode()).hexdigest(), name


def _trust(config: ModelConfig) -> dict[str, bool]:
    return {"trust_remote_code": config.trust_remote_code, "allow_pickle": config.allow_pickle}


def _recipe_checksum(config: ModelConfig, architecture: Any) -> str:
    """Return the sha256 of what determines random weights: the architecture's config, the seed and the dtype."""
    recipe = {key: value for key, value in architecture.to_dict().items() if key not in _NOT_RECIPE}
    text = json.dumps([recipe, config.seed, config.dtype], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


_NOT_RECIPE = {"_name_or_path", "transformers_version", "dtype", "torch_dtype"}
