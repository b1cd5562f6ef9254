"""The layers below the first one that learns. What they compute for a token in its context never changes: compute it once."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from twosome.language.layout import Layout
from twosome.language.loading import LanguageModel
from twosome.language.tokens import TokenizedDecision
from twosome.language.tree import PackedRow, pack, starts_of
from twosome.memory import Memory

MEGABYTE = 2**20


class LowerLayers:
    """A cache of what the lower layers compute for the tokens of a decision.

    The lower layers compute each decision alone. So its hidden states do not depend on the batch that it is in, and a value that
    was evicted, or that a resumed run does not have, is computed again to the same bytes. The upper layers compute batches of
    token trees from these hidden states.

    known: the cache, whose size is in bytes. depth: the number of lower layers. share: of the layers, the share that is above
    them. tokens: computed by the lower layers so far, padding included.
    """

    def __init__(self, lm: LanguageModel, depth: int, size: int, lay_out: Callable[[Sequence[PackedRow]], Layout]) -> None:
        """size: of the cache, in MB. lay_out: makes the input of a batch of trees."""
        self.backbone, self.depth, self.lay_out = lm.backbone, depth, lay_out
        self.known: Memory[TokenizedDecision, Tensor] = Memory(size * MEGABYTE, lambda value: value.nbytes)
        name, layers = decoder_layers(self.backbone)
        self.share = 1 - depth / len(layers)
        self.tokens = 0
        self._stopping = False
        self._given: Tensor | None = None
        layers[depth].register_forward_pre_hook(self._enter, with_kwargs=True)
        self.upper = copy.copy(self.backbone)  # shares all weights
        self.upper._modules = {
            **self.backbone._modules,
            name: nn.ModuleList([*(_Skipped() for _ in range(depth)), *layers[depth:]]),
        }

    def run(self, rows: Sequence[PackedRow], layout: Layout) -> Tensor:
        """Compute what layout.run(backbone, its device) computes; layout: of these rows."""
        states = self._states(rows)
        given = states.new_zeros(layout.ids.numel(), states.shape[1])
        given[layout.nodes.to(states.device)] = states
        self._given = given.view(*layout.ids.shape, -1)
        try:
            return layout.run(self.upper, self._device)
        finally:
            self._given = None

    @torch.no_grad()
    def _states(self, rows: Sequence[PackedRow]) -> Tensor:
        """Return the lower layers' output for the nodes of all trees, tree by tree, (nodes, hidden).

        A node that several decisions share gets the value of the first one.
        """
        places = [start + torch.tensor(nodes) for start, row in zip(starts_of(rows), rows, strict=True) for nodes in row.nodes]
        members = [decision for row in rows for decision in row.members]
        known = self.cached(members)
        values = [known[decision] for decision in members]
        states = values[0].new_empty(sum(map(len, rows)), values[0].shape[1])
        for place, value in zip(reversed(places), reversed(values), strict=True):
            states[place.to(value.device)] = value
        return states

    @torch.no_grad()
    def cached(self, decisions: Sequence[TokenizedDecision]) -> dict[TokenizedDecision, Tensor]:
        """Return the lower layers' output for each decision, (nodes, hidden); compute and cache what is not in the cache."""
        return self.known.of(decisions, lambda missing: map(self._computed, missing))

    def _computed(self, decision: TokenizedDecision) -> Tensor:
        """Return the lower layers' output for the decision's own tree, (nodes, hidden)."""
        layout = self.lay_out(pack([decision], row_tokens=1))
        self.tokens += layout.ids.numel()
        self._stopping = True
        try:
            layout.run(self.backbone, self._device)
        except _Reached as reached:
            return reached.hidden.flatten(0, 1)[layout.nodes.to(self._device)].clone()
        finally:
            self._stopping = False
        raise RuntimeError("the model did not call its layers one after the other")

    def _enter(
        self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Before the first upper layer: replace its input, or stop there, or let it be."""
        if self._stopping:
            raise _Reached(args[0])
        return None if self._given is None else ((self._given, *args[1:]), kwargs)

    @property
    def _device(self) -> torch.device:
        return next(self.backbone.parameters()).device


class _Skipped(nn.Module):
    """Stands in for a lower layer: hands its input on."""

    def forward(self, hidden: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden


class _Reached(Exception):
    """Ends a forward pass before the first upper layer. hidden: the lower layers' output."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


def decoder_layers(backbone: Any) -> tuple[str, nn.ModuleList]:
    """Return the model's decoder layers and their name in backbone; none where they lie deeper."""
    depth = backbone.config.get_text_config().num_hidden_layers
    for name, each in backbone.named_children():
        if isinstance(each, nn.ModuleList) and len(each) == depth:
            return name, each
    return "", nn.ModuleList()


def frozen_depth(lm: LanguageModel) -> int:
    """Return the number of layers below the first one that learns; 0 if nothing learns, or if something outside of them does."""
    backbone = lm.backbone
    learned = {id(parameter) for parameter in lm.learned()}
    _, layers = decoder_layers(backbone)
    learns = [any(id(parameter) in learned for parameter in layer.parameters()) for layer in layers]
    inside = {id(parameter) for layer in layers for parameter in layer.parameters()}
    outside = any(id(parameter) in learned - inside for parameter in backbone.parameters())
    return learns.index(True) if any(learns) and not outside else 0
