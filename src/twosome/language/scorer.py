"""Score actions with a decoder-only model, by packed token trees of the distinct decisions."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from twosome.decision import DecisionText
from twosome.language.action_scores import ActionScores
from twosome.language.attention import uses_tree_attention
from twosome.language.config import BATCH_TOKENS, ROW_TOKENS, EngineConfig
from twosome.language.engine import Engine, Scores
from twosome.language.gather import decisions_of, edges_of, prompt_states, scores_of
from twosome.language.layout import Layout, flat, padded, padded_size
from twosome.language.loading import LanguageModel
from twosome.language.lower_layers import LowerLayers, frozen_depth
from twosome.language.norms import Normalization
from twosome.language.rows import Rows, least_entry
from twosome.language.tokens import TokenizedDecision
from twosome.language.tree import PackedRow, batches, pack
from twosome.language.vocabulary import PREDICTIONS, OutputLayer

WINDOWS = r"^(?!.*(pattern|layers|num_|feed_forward|mamba)).*(window|local_attention|chunk_size|original_max_position)"
"""Entries of configurations: the number of tokens up to which each attends to all before it, and positions are not rescaled."""
T = TypeVar("T")


class Scorer(Engine):
    """The engine of decoder-only models.

    Its cost is proportional to the number of distinct (prefix, token) pairs, not to decisions times actions. A row is not longer
    than an attention window of the model, since a tree's mask has no windows, and some families count the distance of tokens by
    their places in the row. Larger decisions are computed by `Rows`.

    tokens_computed: the number of input tokens so far; where the lower layers are cached (lower_layers.py), a token counts by the
    share of the layers above them. What the lower layers compute is not counted: it depends on what the cache holds, which a
    resumed run fills anew. tokens_projected: the number of positions that were projected onto the vocabulary. Both
    include padding.
    """

    def __init__(
        self,
        lm: LanguageModel,
        norm: Normalization,
        row_tokens: int | None = EngineConfig.row_tokens,
        batch_tokens: int | None = EngineConfig.batch_tokens,
        cache_mb: int = EngineConfig.cache_mb,
        scores: ActionScores = EngineConfig.scores,
    ) -> None:
        """row_tokens, batch_tokens, cache_mb, scores: as in EngineConfig."""
        super().__init__(lm, norm, scores)
        self.options = EngineConfig(row_tokens, batch_tokens, cache_mb, scores)
        self.tokens_projected = 0
        self.rows = Rows(lm, norm, batch_tokens, scores)
        window = least_entry(lm.base.config, WINDOWS)
        self.longest = None if window is None else window * 8 // 9  # `padded_size` adds up to an eighth
        self.hidden_size, self.tokenize = self.rows.hidden_size, self.rows.tokenize
        self.backbone: Any = lm.backbone
        self.output = OutputLayer(lm)
        self.head: Any = self.output.head
        depth = frozen_depth(lm) if cache_mb else 0
        self.lower = LowerLayers(lm, depth, cache_mb, self._layout) if depth else None

    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """See Engine; each batch is one forward pass."""
        tokenized = self.tokenize(texts)
        short, long = self._by_length(tokenized)
        some, few = [texts[index] for index in short], [tokenized[index] for index in short]
        for rows in batches(self._pack(few), self.batch_tokens):
            yield [short[index] for index in decisions_of(rows)], self._scores(rows, some, few)
        if long:
            self.rows.token_states = self.token_states
            for members, scores in self._counted(self.rows.batches([texts[index] for index in long])):
                yield [long[member] for member in members], scores

    def sizes(self, texts: Sequence[DecisionText]) -> list[int]:
        """See Engine: tokens."""
        return [len(each.prompt) + sum(map(len, each.actions)) for each in self.tokenize(texts)]

    def states(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """Compute the last hidden state at the last token of each prompt; see Engine.

        (TWOSOME's reference code takes position -1 of a padded batch, which is a pad token for all but the longest prompt.)
        """
        ends = self._ends(prompts)
        short, long = self._by_length(ends)
        for rows in batches(self._pack([ends[index] for index in short]), self.batch_tokens):
            yield [short[index] for index in decisions_of(rows)], prompt_states(rows, self.hidden(rows))
        for members, states in self._counted(self.rows.states([prompts[index] for index in long])):
            yield [long[member] for member in members], states

    @torch.no_grad()
    def likelihoods(self, decisions: Sequence[TokenizedDecision]) -> Iterator[tuple[int, list[tuple[float, bool]]]]:
        """Yield for each of these decisions (its index, for each action its log-probability and whether it is greedy)."""
        short, long = self._by_length(decisions)
        for rows in batches(pack([decisions[index] for index in short], self.row_tokens), self.batch_tokens):
            for row, hidden in zip(rows, self.hidden(rows).split([len(row) for row in rows]), strict=True):
                logprobs, greedy = self._edges(row, hidden)
                for index, paths in zip(row.decisions, row.paths, strict=True):
                    yield short[index], [(float(logprobs[path].sum()), bool(greedy[path].all())) for path in paths]
        for member, found in self._counted(self.rows.likelihoods([decisions[index] for index in long])):
            yield long[member], found

    def _edges(self, row: PackedRow, hidden: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return log P of a tree's edges' tokens, and whether these are the most probable, (edges,) each."""
        nodes, tokens = (torch.tensor(each, device=self.device) for each in zip(*row.edges, strict=True))
        parts = []
        for node, token in zip(nodes.split(PREDICTIONS), tokens.split(PREDICTIONS), strict=True):
            log_probs = self.output.log_probs(hidden[node])
            parts.append((log_probs.gather(1, token[:, None]).squeeze(1).double(), log_probs.argmax(dim=-1) == token))
        logprobs, greedy = (torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True))
        return logprobs, greedy

    def _by_length(self, tokenized: Sequence[TokenizedDecision]) -> tuple[list[int], list[int]]:
        """Return the indices of decisions that trees compute, and of those whose tree would be larger than `longest`."""
        short: list[int] = []
        long: list[int] = []
        for index, (prompt, actions) in enumerate(tokenized):
            nodes = len(prompt) + sum(map(len, actions))
            (short if self.longest is None or nodes <= self.longest else long).append(index)
        return short, long

    def _counted(self, parts: Iterable[T]) -> Iterator[T]:
        """Yield what rows compute; count its tokens."""
        before = self.rows.tokens_computed
        yield from parts
        self.tokens_computed += self.rows.tokens_computed - before

    @property
    def row_tokens(self) -> int:
        """Nodes per token tree. The default with attention in blocks is batch_tokens, otherwise ROW_TOKENS."""
        nodes = self.options.row_tokens or (self.batch_tokens if self.in_blocks else ROW_TOKENS)
        return min(nodes, self.longest or nodes)

    @property
    def batch_tokens(self) -> int:
        """Tokens per forward pass (with attention in blocks: one row). The default depends on the model's current device."""
        tokens = self.options.batch_tokens or BATCH_TOKENS[self.device.type]
        return min(tokens, self.longest or tokens) if self.in_blocks else tokens

    @property
    def in_blocks(self) -> bool:
        """Whether attention is computed in blocks (attention.py), which is faster on CPUs, or with dense masks."""
        return self.device.type == "cpu" and uses_tree_attention(self.backbone)

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.head.weight.device

    def _ends(self, prompts: Sequence[str]) -> list[TokenizedDecision]:
        """Tokenise prompts as decisions without actions."""
        return [TokenizedDecision(self.tokenize.prompt(prompt), ()) for prompt in prompts]

    def _pack(self, tokenized: Sequence[TokenizedDecision]) -> list[PackedRow]:
        return pack(tokenized, self.row_tokens, even=not self.in_blocks)

    def _scores(self, rows: Sequence[PackedRow], texts: Sequence[DecisionText], tokenized: Sequence[TokenizedDecision]) -> Scores:
        """Score a batch, in the order of decisions_of. texts, tokenized: of all decisions."""
        indices = decisions_of(rows)
        return self._gather(rows, self.hidden(rows), [texts[i] for i in indices], [tokenized[i] for i in indices])

    def hidden(self, rows: Sequence[PackedRow]) -> Tensor:
        """Compute the last hidden states of the nodes of a batch of trees, tree by tree, (nodes, hidden)."""
        layout = self._layout(rows)
        with self.lm.computing():
            if self.lower is None:
                self.tokens_computed += self.input_tokens(rows)
                return layout.run(self.backbone, self.device)
            self.tokens_computed += round(self.lower.share * self.input_tokens(rows))
            return self.lower.run(rows, layout)

    def _layout(self, rows: Sequence[PackedRow]) -> Layout:
        return (flat if self.in_blocks else padded)(rows, self.lm.computing_dtype)

    def input_tokens(self, rows: Sequence[PackedRow]) -> int:
        """Return the number of tokens that the model computes for a batch of trees, padding included."""
        lengths = [len(row) for row in rows]
        return padded_size(sum(lengths)) if self.in_blocks else len(rows) * max(lengths)

    def know(self, texts: Sequence[DecisionText]) -> None:
        """Empty the cache of the lower layers, if there is one, and fill it with these decisions, as a run that has met them."""
        if self.lower is not None:
            self.lower.known.clear()
            with self.lm.computing():
                self.lower.cached(self.tokenize(texts))

    def _gather(
        self, rows: Sequence[PackedRow], hidden: Tensor, texts: Sequence[DecisionText], tokenized: Sequence[TokenizedDecision]
    ) -> Scores:
        """Project the nodes that predict a token onto the vocabulary, and sum log-probabilities along each action's path."""
        edges = edges_of(rows)
        nodes = sorted({node for node, _ in edges})
        place_of = {node: place for place, node in enumerate(nodes)}
        if self.in_blocks:
            nodes += nodes[-1:] * (padded_size(len(nodes)) - len(nodes))
        self.tokens_projected += len(nodes)
        states = hidden[torch.tensor(nodes, device=self.device)]
        source = torch.tensor([place_of[node] for node, _ in edges], device=self.device)
        target = torch.tensor([token for _, token in edges], device=self.device)
        with self.lm.computing():
            edge_logprobs = self.output.edge_log_probs(states, source, target)
            raw = self.output.edge_logits(states, source, target) if self.kind is ActionScores.logits else None
        return scores_of(edge_logprobs, hidden, rows, texts, tokenized, self.norm, self.token_states, self.kind, raw)
