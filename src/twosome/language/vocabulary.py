"""Log-probabilities of single tokens, without the logits of the whole vocabulary in memory if the output layer is packed.

With a packed output layer the vocabulary is processed in slices, as flash attention processes keys. The logits of a slice stay
in the CPU's cache. A running maximum and a running sum give the softmax's normaliser. The part of the gradient that depends on
the logits is the mean of the weight's rows under the predicted distribution; it is computed in the same pass. So no logits are
stored for the backward pass or computed again in it.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from twosome.language.packed_linear import PackedLinear


def logits(head: nn.Module, states: Tensor, softcap: float | None) -> Tensor:
    """Compute logits, (n, vocabulary), float32, from last hidden states (n, hidden). softcap: bound of the logits, or None."""
    out: Tensor = head(states).float()
    return softcap * torch.tanh(out / softcap) if softcap else out


def edge_log_probs(head: nn.Module, states: Tensor, source: Tensor, target: Tensor, softcap: float | None) -> Tensor:
    """Compute log P(target | states[source]), (edges,); differentiable in states.

    states: (n, hidden), last hidden states. source: (edges,), indices into states. target: (edges,), token ids.
    """
    if _in_slices(head, softcap):
        return _InSlices.apply(states, head, source, target)
    whole = logits(head, states, softcap)
    return whole[source, target] - torch.logsumexp(whole, dim=-1)[source]


def edge_logits(head: nn.Module, states: Tensor, source: Tensor, target: Tensor, softcap: float | None) -> Tensor:
    """Compute the logits of target after states[source], (edges,), float32; arguments as in `edge_log_probs`."""
    if _in_slices(head, softcap):
        return (states[source] * head.weight[target]).sum(dim=-1).float()  # type: ignore[index]
    return logits(head, states, softcap)[source, target]


def _in_slices(head: nn.Module, softcap: float | None) -> bool:
    return isinstance(head, PackedLinear) and head.bias is None and not (head.plain or softcap)


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
