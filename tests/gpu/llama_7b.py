"""Write a folder for ``model=hf model.random=true`` with LLaMA-7B's shape and SmolLM2's tokenizer, so that nothing is downloaded.

Usage: python tests/gpu/llama_7b.py <folder>
"""

import sys
from pathlib import Path

from transformers import AutoTokenizer, LlamaConfig

from twosome.language.loading import converted, single_digits, smollm2_file


def write(folder: Path) -> None:
    """Write config.json and the tokenizer. Only the vocabulary differs from LLaMA-7B's, which has 32,000 entries."""
    tokenizer = AutoTokenizer.from_pretrained(converted(smollm2_file(), single_digits)[0])
    config = LlamaConfig(vocab_size=len(tokenizer), architectures=["LlamaForCausalLM"], tie_word_embeddings=False)
    config.save_pretrained(folder)  # the other sizes are 7B's by default
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
