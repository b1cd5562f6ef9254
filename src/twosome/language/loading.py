"""From a `model` config to a language model, its tokenizer and its checksum."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from twosome import seeding
from twosome.errors import UserError
from twosome.language import checkpoints, smollm2, tiny
from twosome.language.attention import use_tree_attention
from twosome.language.config import ModelConfig, check_options, resolve_device
from twosome.language.packed_linear import pack_frozen_layers
from twosome.language.tuning import Frozen, Tuning


@dataclass
class LanguageModel:
    """A loaded model, in eval mode and on its device; only what tuning says requires gradients."""

    model: Any  # what Tuning.apply returned
    tokenizer: PreTrainedTokenizerBase
    checksum: str  # sha256, hex: of the weights as distributed, or of a random model's config and seed
    name: str  # for people and for provenance.json
    tuning: Tuning = field(default_factory=Frozen)

    @property
    def base(self) -> Any:
        """Hugging Face's model itself, whatever tuning has put around it."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    def reference(self) -> AbstractContextManager[Any]:
        """Inside, the model computes as before training."""
        return self.tuning.reference(self.model)

    def learned(self) -> list[nn.Parameter]:
        """The weights that learn."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def load_language_model(config: ModelConfig, tuning: Tuning | None = None) -> LanguageModel:
    """Load what config describes, to be tuned as tuning says; None: nothing learns.

    Equal configs give equal weights on any device; global random states stay put.

    Raises:
        UserError: one line, where an option of config cannot be met (it names the option and the remedy).
    """
    check_options(config)
    tuning = tuning or Frozen()
    device = resolve_device(config.device)
    # Built on the CPU, so that a seed means the same weights on every device.
    with isolated_rng(seeding.number(config.seed, "model")):
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
        base.name_or_path = name  # never a path into our cache
        model = tuning.apply(base)
    model.to(device)
    if config.packed_weights:
        pack_frozen_layers(model)
    return LanguageModel(model.eval(), tokenizer, checksum, name, tuning)


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
