"""Models in a GGUF file, the format of llama.cpp: a file is converted once to a Hugging Face folder in the suite's cache.

Reading GGUF takes minutes for a large model, and reading safetensors seconds. The conversion to float32 is exact: weights that
were quantised stay the quantised ones.
"""

import contextlib
import io
import math
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from twosome.errors import UserError
from twosome.files import cache_root, sha256, writing
from twosome.language.checkpoints import no_progress_bars
from twosome.language.config import path_error

FORMAT = 1  # increase it when the output of `convert` changes, so that old caches are not used
GROWTH = 8
"""A converted model takes at most so many times the bytes of a file with 4 bits per weight."""
Adapt = Callable[[PreTrainedTokenizerBase], None]


def converted(gguf: Path, adapt: Adapt | None = None) -> tuple[Path, str]:
    """Return the converted model's folder and the GGUF file's sha256; convert the file if needed.

    adapt: corrects the tokenizer, of which a GGUF file does not hold everything.

    Raises:
        UserError: transformers cannot read the file, or the cache folder cannot be written.
    """
    checksum = sha256(gguf)
    target = cache_root() / f"{gguf.name.partition('.')[0]}-{checksum[:12]}-{FORMAT}"
    if not target.is_dir():
        print(f"converting {gguf.name} to safetensors in {target}, once; half a minute or more", file=sys.stderr, flush=True)
        convert(gguf, target, adapt)
    return target, checksum


def convert(gguf: Path, target: Path, adapt: Adapt | None = None) -> None:
    """Convert gguf to a Hugging Face folder (config, float32 safetensors, tokenizer) at target, atomically.

    Concurrent processes each write a temporary folder. The first one to rename it wins, the others are removed.

    Raises:
        UserError: transformers cannot read the file, or the folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".converting-", dir=target.parent) as scratch:
            folder = Path(scratch) / target.name
            folder.mkdir()  # scratch itself is readable by its owner only
            model, tokenizer = _read_gguf(gguf)
            if adapt:
                adapt(tokenizer)
            with no_progress_bars(), writing(target):
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
            f"TWOSOME_CACHE={cache_root()}: cannot write the converted model ({error.strerror or error}); expected a writable "
            f"folder with {math.ceil(GROWTH * gguf.stat().st_size / 1e9)} GB free: set TWOSOME_CACHE to one"
        ) from error


def _read_gguf(gguf: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the model in float32 and the tokenizer."""
    options: dict[str, Any] = {"dtype": torch.float32}
    if hasattr(transformers, "GgufConfig"):  # older versions always dequantise; quantised weights cannot be saved or trained
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    try:
        with no_progress_bars(), contextlib.redirect_stderr(io.StringIO()):  # gguf's progress bar cannot be disabled
            model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, **options)
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    except (ValueError, KeyError, IndexError, AttributeError, NotImplementedError) as error:
        problem = f"transformers cannot read the file ({' '.join(str(error).split())})"
        raise path_error(str(gguf), problem, "expected a decoder-only language model such as LLaMA, Qwen2 or Gemma") from error
    model.hf_quantizer = None  # type: ignore[assignment]  # the weights are dequantised, but saving fails while these two are set
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model, tokenizer
