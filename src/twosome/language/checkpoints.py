"""Reading a model's folder, local or on huggingface.co, with checks of what may be loaded."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from twosome.language.config import check_folder, local_folder, path_error

_SAFE = ("model.safetensors", "model-*-of-*.safetensors")
_PICKLE = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")


def find_folder(path: str, weights: bool, trust_remote_code: bool = False, allow_pickle: bool = False) -> Path:
    """Return the local folder of ``model.path``: path itself, or the hub repository of that name, downloaded to HF's cache.

    Args:
        path: a local folder or ``owner/name`` on huggingface.co.
        weights: whether a download includes the weights.
        trust_remote_code, allow_pickle: also fetch the .py files, the .bin files.

    Raises:
        UserError: there is no such folder or repository, it is gated, there is no connection, or config.json is missing.
    """
    folder = local_folder(path)
    if folder is None:
        patterns = ["*.json", "*.txt", "*.model", "*.jinja"] + ["*.py"] * trust_remote_code
        patterns += [*_SAFE, *(_PICKLE if allow_pickle else ())] if weights else []
        folder = _download(path, patterns)
        check_folder(folder, path)
    return folder


def _download(name: str, patterns: list[str]) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=["*/*"]))
    except GatedRepoError as error:
        remedy = f"accept its licence at https://huggingface.co/{name} and set HF_TOKEN"
        raise path_error(name, "the repository is gated", remedy) from error
    except RepositoryNotFoundError as error:
        remedy = "check the name (owner/name), or set HF_TOKEN if it is private"
        raise path_error(name, "neither a local folder nor a repository on huggingface.co", remedy) from error
    except HFValidationError as error:
        raise path_error(name, "neither a local folder nor a valid hub name", "expected owner/name") from error
    except (OSError, RuntimeError) as error:  # HTTP, connection, timeout, offline mode, a client that is closed
        remedy = "connect, or copy the model here and give its folder"
        raise path_error(name, f"not a local folder, and huggingface.co gave no answer ({_line(error)})", remedy) from error


def weight_files(folder: Path, path: str, allow_pickle: bool) -> list[Path]:
    """Return the files that hold the weights in folder, in order: safetensors, or .bin if these are allowed.

    Raises:
        UserError: there are none, or only pickled ones and allow_pickle is off (loading a pickle can run code).
    """
    for pattern in (*_SAFE, *(_PICKLE if allow_pickle else ())):
        if files := sorted(folder.glob(pattern)):
            return files
    if any(file for pattern in _PICKLE for file in folder.glob(pattern)):
        problem = "its weights are pickled (.bin), which can run code when opened"
        raise path_error(path, problem, "convert them to safetensors, or set model.allow_pickle=true if you trust them")
    remedy = "expected model.safetensors; if the repository has only .bin files, model.allow_pickle=true reads them"
    raise path_error(path, "no weights in safetensors format", remedy)


def checksum(files: Sequence[Path]) -> str:
    """Return the sha256 (hex) of one file; of several files, the sha256 of the lines that ``sha256sum`` prints for them."""
    digests = [hashlib.file_digest(file.open("rb"), "sha256").hexdigest() for file in files]
    if len(files) == 1:
        return digests[0]
    lines = "".join(f"{digest}  {file.name}\n" for digest, file in zip(digests, files, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_config(folder: Path, path: str, trust_remote_code: bool = False) -> PreTrainedConfig:
    """Return the configuration (architecture) of the model in folder.

    Raises:
        UserError: it is not a language model that predicts the next token.
    """
    with naming(path):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    kind = model_class(config)
    remote = trust_remote_code and kind.__name__ in (getattr(config, "auto_map", None) or {})
    known = remote or type(config) in kind._model_mapping
    masked = any(name.endswith("MaskedLM") for name in config.architectures or ())  # BERT and similar models are 'known' too
    if masked or not known:
        problem = f"{config.model_type} is neither a decoder-only nor an encoder-decoder language model"
        raise path_error(path, problem, "expected one such as LLaMA, Qwen2, GPT-2, Gemma, GPT-NeoX, T5, BART")
    return config


def model_class(config: PreTrainedConfig) -> Any:
    """Return the class of transformers that makes and loads models of this configuration."""
    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def read_tokenizer(folder: Path, path: str, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """Return the tokenizer in folder."""
    with naming(path):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)


def read(
    folder: Path, option_value: str = "", trust_remote_code: bool = False, allow_pickle: bool = False, **options: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model (on the CPU) and the tokenizer in folder; options (dtype, ...) are passed to ``from_pretrained``.

    Raises UserError as `read_config`.
    """
    path = option_value or str(folder)
    config = read_config(folder, path, trust_remote_code)
    tokenizer = read_tokenizer(folder, path, trust_remote_code)
    options |= {"trust_remote_code": trust_remote_code, "use_safetensors": None if allow_pickle else True}
    with naming(path):
        model = model_class(config).from_pretrained(folder, config=config, **options)
    return model, tokenizer


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Print a line that names ``model.path`` before transformers' own error within the context."""
    try:
        yield
    except Exception:
        print(f"error: model.path={path}: transformers cannot load it:", file=sys.stderr)
        raise


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Disable transformers' progress bars within the context (for loads of a second or two)."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _line(error: BaseException) -> str:
    """Return the first line of an error's message, shortened to 160 characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= 160 else lines[0][:157] + "..."
