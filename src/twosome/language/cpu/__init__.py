"""What makes language models faster on CPUs: packed weights, attention in blocks of token trees, lower layers computed once.

`prepare` is the switch: a model that it has not prepared computes by PyTorch's own products and attention.
"""

from torch import nn
from transformers import PreTrainedModel

from twosome.language.cpu.attention import use_tree_attention
from twosome.language.cpu.packed_linear import pack_frozen_layers


def prepare(model: nn.Module, base: PreTrainedModel, packed_weights: bool) -> None:
    """Make a model compute faster. model: base, or the tuning's wrapper around it. packed_weights: see `pack_frozen_layers`."""
    if not base.config.is_encoder_decoder:
        use_tree_attention(base)
    if packed_weights:
        pack_frozen_layers(model, base.get_output_embeddings())
