"""Positions of the nodes of token trees in decoders that count positions themselves: the depth of a node is its position.

Decoders of encoder-decoder models take no position ids. Those of the T5 family have a relative position bias, those of the BART
family add an absolute position to each embedding.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class TreePositions:
    """A switch that makes a decoder take its positions from `at`; outside of that context the decoder computes as always.

    known: whether the decoder's kind of positions is one of the two.
    """

    def __init__(self, decoder: nn.Module) -> None:
        self._depths: Tensor | None = None
        relative: list[Any] = [module for module in decoder.modules() if getattr(module, "has_relative_attention_bias", False)]
        for module in relative:
            module.compute_bias = self._relative(module.compute_bias)
        absolute = getattr(decoder, "embed_positions", None)
        able = isinstance(absolute, nn.Module) and "position_ids" in inspect.signature(absolute.forward).parameters
        if isinstance(absolute, nn.Module) and able:
            absolute.register_forward_pre_hook(self._flattened, with_kwargs=True)
            absolute.register_forward_hook(self._unflattened)
        self.known = able or bool(relative)

    @contextmanager
    def at(self, depths: Tensor) -> Iterator[None]:
        """Give the tokens of the decoder's input these positions within the context. depths: (B, L)."""
        self._depths = depths
        try:
            yield
        finally:
            self._depths = None

    def _relative(self, compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Return a replacement of T5Attention.compute_bias, whose result is (1 or B, heads, queries, keys)."""

        def compute_bias(query_length: int, key_length: int, *args: Any, **kwargs: Any) -> Tensor:
            if self._depths is None:
                return compute(query_length, key_length, *args, **kwargs)
            length = int(self._depths.max()) + 1
            table = compute(length, length, *args, **kwargs)[0]
            return table[:, self._depths[:, :, None], self._depths[:, None, :]].transpose(0, 1)

        return compute_bias

    def _flattened(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before the layer of absolute positions, which embeds one row of positions: replace it by all depths."""
        return args, kwargs if self._depths is None else kwargs | {"position_ids": self._depths.flatten()}

    def _unflattened(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return output if self._depths is None else output.reshape(*self._depths.shape, -1)
