"""From last hidden states to logits and log-probabilities of single tokens.

With a packed output layer the vocabulary is processed in slices, as flash attention processes keys. The logits of a slice stay
in the CPU's cache. A running maximum and a running sum give the softmax's normaliser. The part of the gradient that depends on
the logits is the mean of the weight's rows under the predicted distribution; it is computed in the same pass. So no logits are
stored for the backward pass or computed again in it.
"""

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.modeling_outputs import BaseModelOutputWithPast

from twosome import generators
from twosome.language.packed_linear import PackedLinear

if TYPE_CHECKING:
    from twosome.language.loading import LanguageModel

PREDICTIONS = 256
"""Positions that are projected onto the whole vocabulary at once: 50 MB in float32 for a vocabulary of 49,152."""


class OutputLayer:
    """What a model does after its backbone: the output layer, and the scaling or bounding of logits that some families add.

    The model's own `forward` computes it, with a backbone that returns the given states. head: the output layer.
    """

    def __init__(self, lm: "LanguageModel") -> None:
        """lm: a decoder-only model."""
        self.lm = lm
        self.head: Any = lm.base.get_output_embeddings()
        self._given = _Given()
        self._model = copy.copy(lm.base)  # shares all weights
        self._model._modules = {name: self._given if each is lm.backbone else each for name, each in lm.base._modules.items()}
        self._linear = self._is_linear()

    def logits(self, states: Tensor) -> Tensor:
        """Compute logits, (n, vocabulary), float32, from last hidden states (n, hidden)."""
        self._given.states = states.unsqueeze(0)
        ids = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
        try:
            logits: Tensor = self._model(input_ids=ids, use_cache=False).logits
        finally:
            self._given.states = None
        return logits[0].float()

    def log_probs(self, states: Tensor) -> Tensor:
        """Compute log-probabilities of the next token, (n, vocabulary), float32, from last hidden states (n, hidden)."""
        with self.lm.computing():
            return self.logits(states).log_softmax(dim=-1)

    def edge_log_probs(self, states: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Compute log P(target | states[source]), (edges,); differentiable in states.

        states: (n, hidden), last hidden states. source: (edges,), indices into states. target: (edges,), token ids.
        """
        if self.in_slices:
            return _InSlices.apply(states, self.head, source, target)
        whole = self.logits(states)
        return whole[source, target] - torch.logsumexp(whole, dim=-1)[source]

    def edge_logits(self, states: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Compute the logits of target after states[source], (edges,), float32; arguments as in `edge_log_probs`."""
        if self.in_slices:
            return (states[source] * self.head.weight[target]).sum(dim=-1).float()
        return self.logits(states)[source, target]

    @property
    def in_slices(self) -> bool:
        """Whether the vocabulary is processed in slices: with a packed output layer beside which the model does nothing."""
        return self._linear and isinstance(self.head, PackedLinear) and self.head.bias is None and not self.head.plain

    @torch.no_grad()
    def _is_linear(self) -> bool:
        """Return whether logits are what the output layer computes, to the bit, of small states and of large ones."""
        if not isinstance(self.head, PackedLinear):
            return False  # not asked
        states = torch.randn(4, self.head.in_features, generator=generators.of_stream(0, "output layer")) * torch.tensor(
            [[1.0], [9], [99], [999]]
        )
        return torch.equal(self.logits(states), self.head(states).float())


class _Given(nn.Module):
    """Stands in for a backbone: returns given states. Some models call the decoder inside of the backbone."""

    states: Tensor | None = None

    @property
    def decoder(self) -> "_Given":
        return self

    def forward(self, *_: Any, **__: Any) -> "_Output":
        return _Output(last_hidden_state=self.states)


class _Output(BaseModelOutputWithPast):
    """A backbone's output in which whatever a family adds (router logits, states, ...) is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class _InSlices(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, head: PackedLinear, source: Tensor, target: Tensor) -> Tensor:
        rows = head.weight[target]
        normaliser, mean_rows = _normalisers(states, head, learning=ctx.needs_input_grad[0])
        if mean_rows is not None:
            ctx.save_for_backward(rows, mean_rows, source)
        return (states[source] * rows).sum(dim=-1) - normaliser[source]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Compute the gradient of the states: for each edge, the weight's row of the target minus the mean row."""
        rows, mean_rows, source = ctx.saved_tensors
        weights = gradients[0].unsqueeze(1)
        return torch.zeros_like(mean_rows).index_add_(0, source, weights * (rows - mean_rows[source])), None, None, None


def _normalisers(states: Tensor, head: PackedLinear, learning: bool) -> tuple[Tensor, Tensor | None]:
    """Return the log of the softmax's denominator, (n,), and if learning the weight's mean row under the softmax, (n, hidden)."""
    top = states.new_full((len(states), 1), -torch.inf)
    total = torch.zeros_like(top)
    mean_rows = torch.zeros_like(states)
    for piece in head.slices():
        part = piece.product(states)
        new_top = torch.maximum(top, part.amax(dim=1, keepdim=True))
        shrink = (top - new_top).exp()
        part.sub_(new_top).exp_()
        total = total * shrink + part.sum(dim=1, keepdim=True)
        if learning:
            mean_rows.mul_(shrink).add_(piece.product_of_gradient(part))
        top = new_top
    return (top + total.log()).squeeze(1), mean_rows.div_(total) if learning else None
