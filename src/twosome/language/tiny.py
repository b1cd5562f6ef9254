"""Random models of a few thousand weights, one per architecture family, for tests.

They cover features that an engine must handle: absolute positions (gpt2), rotary embeddings of a part of each head (gpt_neox),
grouped keys and values (llama, qwen2, gemma), biases (qwen2), embeddings scaled by sqrt(hidden size) (gemma), a token
at the beginning of every text (llama, gemma). Of the encoder-decoder models, t5 has relative positions and bart absolute ones.
"""

import json
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
)

ROTARY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
GROUPED = {**ROTARY, "num_key_value_heads": 2}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {**GROUPED, "tie_word_embeddings": False},
    "qwen2": {**GROUPED, "tie_word_embeddings": True},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gemma": {**GROUPED, "head_dim": 16},
    "gpt_neox": {**ROTARY, "rotary_pct": 0.5},
}
ENCODER_DECODERS: dict[str, dict[str, Any]] = {
    "t5": {
        **{"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
        **{"feed_forward_proj": "gated-gelu", "initializer_factor": 0.5},
    },
    "bart": {
        "d_model": 32,
        **{f"{part}_layers": 2 for part in ("encoder", "decoder")},
        **{f"{part}_attention_heads": 4 for part in ("encoder", "decoder")},
        **{f"{part}_ffn_dim": 64 for part in ("encoder", "decoder")},
    },
}
POSITIONS = 2048
TEMPLATES = {"llama": "<bos> $A", "gemma": "<bos> $A", "t5": "$A <eos>", "bart": "<bos> $A <eos>"}
"""The tokens that tokenizers add to a text, by architecture."""
STARTS = {"t5": "pad_token_id", "bart": "eos_token_id"}
"""The token that the decoder starts with."""

# The merges learned from this text give words of one token and of several, as in real vocabularies. Any text round-trips.
CORPUS = """
There are two fixed cutting boards in the room. You notice a tomato, a lettuce and an onion on the different tables.
Currently you are standing in front of the cutting board, carrying a bowl in hand. To serve the dish of a bowl only
containing chopped tomato and lettuce, you should first pick up the tomato, put it on the cutting board and chop it.
Now you are in the kitchen. You see the pancake and the microwave. Next, open the microwave, walk to the living room,
turn on the television, sit on the sofa, go forward, turn left, turn right, take the bowl, serve the dish.
"""


def build_tokenizer(architecture: str) -> PreTrainedTokenizerBase:
    """Return a byte-level BPE tokenizer of about 340 tokens, trained on `CORPUS`; the same in every call."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    specials = ["<pad>", "<bos>", "<eos>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=specials, initial_alphabet=alphabet, min_frequency=2, show_progress=False)
    backend.train_from_iterator(CORPUS.strip().splitlines(), trainer)
    names = {"pad_token": "<pad>", "eos_token": "<eos>"}
    if architecture == "qwen2":  # transformers reads tokenizers of this family with its own class only
        trained = json.loads(backend.to_str())["model"]
        merges: Any = [tuple(pair) for pair in trained["merges"]]
        return Qwen2Tokenizer(trained["vocab"], merges, unk_token="<eos>", **names)
    if template := TEMPLATES.get(architecture):
        added = [(name, backend.token_to_id(name)) for name in specials if name in template]
        names |= {"bos_token": "<bos>"} if "<bos>" in template else {}
        backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=added)
    return PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False, **names)


def build_config(architecture: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    """Return the architecture's config with hidden size 32, two layers, `POSITIONS` positions and the tokenizer's vocabulary."""
    positions = "n_positions" if architecture == "gpt2" else "max_position_embeddings"
    options = dict((ARCHITECTURES | ENCODER_DECODERS)[architecture])
    if architecture in ENCODER_DECODERS:
        options |= {"decoder_start_token_id": getattr(tokenizer, STARTS[architecture]), "init_std": 0.2}
        options["tie_word_embeddings"] = architecture != "t5"  # as in Flan-T5, where this says that logits are not scaled
    return AutoConfig.for_model(
        architecture,
        vocab_size=len(tokenizer),
        initializer_range=0.2,  # with the usual 0.02 such a small model gives almost uniform probabilities
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **{positions: POSITIONS},
        **options,
    )


@torch.no_grad()
def spread(model: PreTrainedModel) -> PreTrainedModel:
    """Add noise to biases and norm gains, in place, so that a test fails if an engine ignores them; return the model."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model
