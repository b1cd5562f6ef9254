"""The layers below the first one that learns. What they compute for a token in its context never changes: compute it once."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from twosome.language.loading import LanguageModel, decoder_layers
from twosome.language.tokens import TokenizedDecision
from twosome.language.tree import Layout, PackedRow, pack, starts_of
from twosome.lru_cache import LRUCache

MEGABYTE = 2**20


class LowerLayers:
    """A cache of what the lower layers compute for the tokens of a decision.

    The lower layers compute each decision alone. So its hidden states do not depend on the batch that it is in, and a value that
    was evicted, or that a resumed run does not have, is computed again to the same bytes. The upper layers compute batches of
    token trees from these hidden states.

    cache: of the hidden states, (nodes, hidden); its size is in bytes. depth: the number of lower layers. share: of the layers,
    the share that is above them.
    """

    def __init__(self, lm: LanguageModel, depth: int, size: int, lay_out: Callable[[Sequence[PackedRow]], Layout]) -> None:
        """size: of the cache, in MB. lay_out: makes the input of a batch of trees."""
        self.lm, self.depth, self.lay_out = lm, depth, lay_out
        self.cache: LRUCache[TokenizedDecision, Tensor] = LRUCache(size * MEGABYTE, lambda value: value.nbytes)
        name, layers = decoder_layers(lm.backbone)
        self.share = 1 - depth / len(layers)
        self._entry = _Entry(layers[depth])
        self._lower = _with_layers(lm.backbone, name, [*layers[:depth], _Stop(), *layers[depth + 1 :]])
        self._upper = _with_layers(lm.backbone, name, [*(_Skip() for _ in range(depth)), self._entry, *layers[depth + 1 :]])

    def run(self, rows: Sequence[PackedRow], layout: Layout, device: torch.device) -> Tensor:
        """Compute what layout.run(backbone, device) computes. layout: of these rows.

        A node that several decisions share gets the value of the first one.
        """
        places = [start + torch.tensor(nodes) for start, row in zip(starts_of(rows), rows, strict=True) for nodes in row.nodes]
        members = [decision for row in rows for decision in row.members]
        found = self.states(members)
        given = found[members[0]].new_zeros(layout.ids.numel(), found[members[0]].shape[1])
        for place, decision in zip(reversed(places), reversed(members), strict=True):
            given[layout.nodes[place].to(device)] = found[decision]
        self._entry.states = given.view(*layout.ids.shape, -1)
        try:
            return layout.run(self._upper, device)
        finally:
            self._entry.states = None

    @torch.no_grad()
    def states(self, decisions: Sequence[TokenizedDecision]) -> dict[TokenizedDecision, Tensor]:
        """Return the lower layers' output for each decision, (nodes, hidden); compute and cache what is not in the cache."""
        return self.cache.of(decisions, lambda missing: map(self._compute, missing))

    def _compute(self, decision: TokenizedDecision) -> Tensor:
        """Return the lower layers' output for the decision's own tree, (nodes, hidden)."""
        layout, device = self.lay_out(pack([decision], row_tokens=1)), self.lm.base.device
        try:
            layout.run(self._lower, device)
        except _Reached as reached:
            return reached.args[0].flatten(0, 1)[layout.nodes.to(device)].clone()
        raise RuntimeError("the model did not call its layers one after the other")


def _with_layers(backbone: Any, name: str, layers: Sequence[nn.Module]) -> Any:
    """Return a copy of a model that has these layers and shares all other weights."""
    copied = copy.copy(backbone)
    copied._modules = {**backbone._modules, name: nn.ModuleList(layers)}
    return copied


class _Skip(nn.Module):
    """Stands in for a lower layer: computes nothing."""

    def forward(self, hidden: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden


class _Entry(nn.Module):
    """The first upper layer, with the states that were set as its input."""

    states: Tensor | None = None

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, _: Tensor, *args: Any, **kwargs: Any) -> Any:
        return self.layer(self.states, *args, **kwargs)


class _Stop(nn.Module):
    """Stands in for the first upper layer: ends the forward pass."""

    def forward(self, hidden: Tensor, *_: Any, **__: Any) -> Tensor:
        raise _Reached(hidden)


class _Reached(Exception):
    """Holds the lower layers' output."""
