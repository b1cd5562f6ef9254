"""Sum the log-probabilities of tokens along the paths of a batch of token trees."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from twosome.decision import DecisionText
from twosome.language.action_scores import ActionScores, combined
from twosome.language.engine import MASKED, Scores
from twosome.language.norms import Normalization
from twosome.language.tokens import TokenizedDecision
from twosome.language.tree import PackedRow, starts_of


def decisions_of(rows: Sequence[PackedRow]) -> list[int]:
    """Return the indices of the decisions of a batch, row by row."""
    return [index for row in rows for index in row.decisions]


def edges_of(rows: Sequence[PackedRow]) -> list[tuple[int, int]]:
    """Return the edges of a batch, row by row, as (node, next token id); nodes are counted over all rows."""
    return [(start + node, token) for start, row in zip(starts_of(rows), rows, strict=True) for node, token in row.edges]


def prompt_states(rows: Sequence[PackedRow], hidden: Tensor) -> Tensor:
    """Return the hidden states at the last token of each prompt, (decisions, hidden), float32. hidden: of all nodes."""
    ends = [start + end for start, row in zip(starts_of(rows), rows, strict=True) for end in row.prompt_ends]
    return hidden[torch.tensor(ends, device=hidden.device)].float()


def scores_of(
    edge_logprobs: Tensor,
    hidden: Tensor,
    rows: Sequence[PackedRow],
    texts: Sequence[DecisionText],
    tokenized: Sequence[TokenizedDecision],
    norm: Normalization,
    token_states: bool,
    kind: ActionScores = ActionScores.logprobs,
    edge_logits: Tensor | None = None,
) -> Scores:
    """Return the scores of a batch, in the order of decisions_of.

    edge_logprobs: (edges,), in the order of edges_of. hidden: last hidden states of all nodes, (nodes, hidden). texts, tokenized:
    of the batch. token_states: as in Engine. edge_logits: as edge_logprobs, for the kind of scores that needs them.
    """
    device, edges = edge_logprobs.device, len(edge_logprobs)
    actions = max(len(decision.actions) for decision in tokenized)
    steps = max(len(action) for decision in tokenized for action in decision.actions)
    index = np.full((len(texts), actions, steps), edges)  # index edges is a padding slot with value 0
    divisor = np.ones((len(texts), actions), dtype=np.float32)
    offsets = np.cumsum([0, *(len(row.edges) for row in rows)])
    paths = [(offset, path) for offset, row in zip(offsets, rows, strict=False) for path in row.paths]
    for d, ((offset, path), (_, prompts), decision) in enumerate(zip(paths, texts, tokenized, strict=True)):
        for a, (edge_numbers, words, tokens) in enumerate(zip(path, prompts, decision.actions, strict=True)):
            index[d, a, : len(edge_numbers)] = offset + np.array(edge_numbers)
            divisor[d, a] = norm(words, len(tokens))
    places = torch.from_numpy(index).to(device)
    absent = places == edges
    missing = absent[:, :, 0]
    terms = pad(edge_logprobs, (0, 1))[places]
    summed = terms if edge_logits is None else pad(edge_logits, (0, 1))[places]
    scores = combined(kind, summed, torch.from_numpy(divisor).to(device), missing)
    return Scores(
        terms.sum(dim=-1).masked_fill(missing, MASKED),
        scores.masked_fill(missing, MASKED),
        prompt_states(rows, hidden),
        terms.masked_fill(absent, torch.nan),
        _before(rows, hidden, places) if token_states else hidden.new_zeros((*places.shape, 0), dtype=torch.float32),
    )


def _before(rows: Sequence[PackedRow], hidden: Tensor, places: Tensor) -> Tensor:
    """Return the hidden states of the nodes that edges leave, 0 for padding. places: of edges; their number for padding."""
    sources = torch.tensor([*(node for node, _ in edges_of(rows)), 0], device=hidden.device)
    return hidden[sources[places]].float().masked_fill((places == len(sources) - 1).unsqueeze(-1), 0.0)
