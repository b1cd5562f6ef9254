"""Token trees: shared prefixes of decisions are computed once.

The sequences ``prompt + action`` of several decisions are merged into a trie. A node is one token in the context of its
ancestors. Its attention mask contains its ancestors and itself, and its position is its depth, so a causal language model
computes for each node the same as in a separate row. The last token of an action is predicted but is never an input, so it is
not a node.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from twosome.language.tokens import TokenizedDecision


@dataclass
class PackedRow:
    """A token tree as one row of a batch; parents precede their children.

    ids, parents, depths: of each node (the parent of a root is -1).
    prompt_ends: for each decision of the row, the node of its prompt's last token.
    edges: the distinct predictions, as (node, next token id).
    paths: for each decision and action, the indices of the edges whose log-probabilities sum to the action's.
    decisions: the row's decisions, as indices into the caller's list.
    members: the same, tokenised.
    nodes: for each decision, its nodes: those of its prompt, then those of its actions. (Their order does not depend on the row.)
    """

    ids: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    prompt_ends: list[int] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    paths: list[list[list[int]]] = field(default_factory=list)
    decisions: list[int] = field(default_factory=list)
    members: list[TokenizedDecision] = field(default_factory=list)
    nodes: list[list[int]] = field(default_factory=list)
    _children: dict[tuple[int, int], int] = field(default_factory=dict)
    _edge_numbers: dict[tuple[int, int], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def cost(self, decision: TokenizedDecision) -> int:
        """Return the number of nodes that the decision would add (an upper bound if it shares action prefixes as well)."""
        node, shared = -1, 0
        for token in decision.prompt:
            child = self._children.get((node, token))
            if child is None:
                break
            node, shared = child, shared + 1
        prefixes = {action[:end] for action in decision.actions for end in range(1, len(action))}
        return len(decision.prompt) - shared + len(prefixes)

    def add(self, index: int, decision: TokenizedDecision) -> None:
        """Add a decision to the tree. index: into the caller's list."""
        end = -1
        nodes: dict[int, None] = {}
        for token in decision.prompt:
            end = self._child(end, token)
            nodes[end] = None
        self.decisions.append(index)
        self.members.append(decision)
        self.prompt_ends.append(end)
        self.paths.append([self._path(end, action, nodes) for action in decision.actions])
        self.nodes.append(list(nodes))

    def _path(self, node: int, action: Sequence[int], nodes: dict[int, None]) -> list[int]:
        """Add an action below a node; return its edges. nodes: gets the action's nodes."""
        path = []
        for position, token in enumerate(action):
            path.append(self._edge(node, token))
            if position + 1 < len(action):
                node = self._child(node, token)
                nodes[node] = None
        return path

    def _edge(self, node: int, token: int) -> int:
        number = self._edge_numbers.setdefault((node, token), len(self.edges))
        if number == len(self.edges):
            self.edges.append((node, token))
        return number

    def _child(self, node: int, token: int) -> int:
        child = self._children.get((node, token))
        if child is None:
            child = self._children[node, token] = len(self.ids)
            self.ids.append(token)
            self.parents.append(node)
            self.depths.append(self.depths[node] + 1 if node >= 0 else 0)
        return child

    def ancestors(self) -> np.ndarray:
        """Return a bool array (nodes, nodes): [i, j] is true if j is i or an ancestor of i."""
        mask = np.eye(len(self), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                mask[node] |= mask[parent]
        return mask


def pack(decisions: Sequence[TokenizedDecision], row_tokens: int, even: bool = True) -> list[PackedRow]:
    """Pack decisions greedily into rows of at most row_tokens nodes (a row of one decision may have more).

    The decisions are sorted by their tokens, so that neighbours share long prefixes. The bound exists because attention is
    quadratic in the nodes of a row.

    even: for batches that are padded to their longest row; a binary search finds the smallest bound that gives no more rows.
    """
    order = sorted(range(len(decisions)), key=lambda i: decisions[i])
    best = _fill(decisions, order, row_tokens)
    if not even or not best:
        return best
    low, high = max(map(len, best)) // 2, min(max(map(len, best)) - 1, row_tokens)
    while low <= high:
        bound = (low + high) // 2
        rows = _fill(decisions, order, bound)
        if len(rows) <= len(best):
            best, high = rows, min(bound, max(map(len, rows))) - 1
        else:
            low = bound + 1
    return best


def _fill(decisions: Sequence[TokenizedDecision], order: Sequence[int], row_tokens: int) -> list[PackedRow]:
    rows: list[PackedRow] = []
    for index in order:
        if not rows or len(rows[-1]) + rows[-1].cost(decisions[index]) > row_tokens:
            rows.append(PackedRow())
        rows[-1].add(index, decisions[index])
    return rows


def batches(rows: Iterable[PackedRow], batch_tokens: int) -> list[list[PackedRow]]:
    """Group rows of similar length so that a padded batch has at most batch_tokens tokens (or is a single row)."""
    grouped: list[list[PackedRow]] = []
    for row in sorted(rows, key=len, reverse=True):
        if not grouped or (len(grouped[-1]) + 1) * len(grouped[-1][0]) > batch_tokens:
            grouped.append([])
        grouped[-1].append(row)
    return grouped


def starts_of(rows: Sequence[PackedRow]) -> list[int]:
    """Return the index of each row's first node in the concatenation of all rows."""
    return [0, *accumulate(len(row) for row in rows[:-1])]


def decisions_of(rows: Sequence[PackedRow]) -> list[int]:
    """Return the indices of the decisions of a batch, row by row."""
    return [index for row in rows for index in row.decisions]


def edges_of(rows: Sequence[PackedRow]) -> list[tuple[int, int]]:
    """Return the edges of a batch, row by row, as (node, next token id); nodes are counted over all rows."""
    return [(start + node, token) for start, row in zip(starts_of(rows), rows, strict=True) for node, token in row.edges]


class Layout(NamedTuple):
    """The model's input for a batch of trees: B rows of L tokens.

    ids, positions: (B, L).
    mask: (B, 1, L, L), added to the attention logits; not used if the attention has its own pattern.
    nodes: (nodes,), the indices of the nodes of all trees, tree by tree, in the B * L positions; the others are padding.
    pattern: what a special attention gets instead of the mask, by keyword (cpu/attention.py).
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    nodes: Tensor
    pattern: Mapping[str, Any] = MappingProxyType({})

    def run(self, backbone: Any, device: torch.device) -> Tensor:
        """Run the model; return the last hidden states of the nodes of all trees, tree by tree, (nodes, hidden)."""
        output = backbone(
            input_ids=self.ids.to(device),
            position_ids=self.positions.to(device),
            attention_mask=self.mask.to(device),
            use_cache=False,
            **self.pattern,
        )
        return output.last_hidden_state.flatten(0, 1)[self.nodes.to(device)]


def padded_size(number: int) -> int:
    """Round number up to an allowed size: a multiple of 4 up to 64, then one of eight sizes per power of two.

    oneDNN compiles a kernel for each number of rows of a product and never frees its memory: 0.25 MB each, and as much again in
    its cache of 1,024 primitives. Without rounding, the memory of a run would grow with every new size of token tree. Rounding
    adds 4 % of computation on average.
    """
    step = max(4, 2 ** (number.bit_length() - 4))
    return -(-number // step) * step


def padded(rows: Sequence[PackedRow], dtype: torch.dtype, length: int | None = None) -> Layout:
    """Put each tree in a row of its own, padded to the longest, with dense masks. dtype: of the model's hidden states.

    A padding position attends to itself only. length: of the rows, if more than the longest tree.
    """
    length = length or max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    depths, real = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    visible = np.broadcast_to(np.eye(length, dtype=bool), (len(rows), length, length)).copy()
    for place, row in enumerate(rows):
        ids[place, : len(row)], depths[place, : len(row)] = torch.tensor(row.ids), torch.tensor(row.depths)
        real[place, : len(row)] = True
        visible[place, : len(row), : len(row)] = row.ancestors()
    return Layout(ids, depths, additive_mask(visible[:, None], dtype), real.flatten().nonzero()[:, 0])


def additive_mask(allowed: np.ndarray, dtype: torch.dtype) -> Tensor:
    """Return the mask to add to the attention logits, in the shape of allowed: 0 where it is true, else the dtype's minimum."""
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill_(~torch.from_numpy(allowed), torch.finfo(dtype).min)
