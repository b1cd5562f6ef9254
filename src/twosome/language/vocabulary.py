"""Log-probabilities of single tokens, without the whole vocabulary's logits in memory where they can be spared.

With a packed output layer the vocabulary is gone through slice by slice, as flash attention goes through keys: each slice's
logits stay in the cache, a running maximum and sum give the normaliser, and of the gradient all that needs the logits, the
mean of the output layer's rows under the predicted distribution, is computed in the same pass. So there is nothing to keep
for the backward pass, and no second look at n times 49 152 numbers.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from twosome.language.packed_linear import PackedLinear


def logits(head: nn.Module, states: Tensor, softcap: float | None) -> Tensor:
    """What the output layer says of last hidden states (n, hidden): (n, vocabulary), float32."""
    out: Tensor = head(states).float()
    return softcap * torch.tanh(out / softcap) if softcap else out


def edge_log_probs(head: nn.Module, states: Tensor, source: Tensor, target: Tensor, softcap: float | None) -> Tensor:
    """log P(target | states[source]) for token ids target, (edges,) like source; differentiable in states (n, hidden)."""
    if isinstance(head, PackedLinear) and head.bias is None and not (head.plain or softcap):
        return _InSlices.apply(states, head, source, target)
    whole = logits(head, states, softcap)
    return whole[source, target] - torch.logsumexp(whole, dim=-1)[source]


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
        """An edge's gradient for its state is the target's row of the weight minus the mean row."""
        rows, mean_rows, source = ctx.saved_tensors
        weights = gradients[0].unsqueeze(1)
        return torch.zeros_like(mean_rows).index_add_(0, source, weights * (rows - mean_rows[source])), None, None, None


def _normalisers(states: Tensor, head: PackedLinear, learning: bool) -> tuple[Tensor, Tensor | None]:
    """The log of the softmax's denominator, (n,), and for learning the weight's mean row under the softmax, (n, hidden)."""
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
