"""Score actions with a decoder-only model, by packed token trees of the distinct decisions."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast

from twosome import generators
from twosome.decision import DecisionText
from twosome.language.cpu.attention import flat, uses_tree_attention
from twosome.language.cpu.lower_layers import LowerLayers
from twosome.language.cpu.packed_linear import PackedLinear, SlicedLogProbs
from twosome.language.engine import Scores, TreeEngine, prompt_states
from twosome.language.loading import LanguageModel, frozen_depth
from twosome.language.norms import ActionScores, Normalization
from twosome.language.rows import Rows, least_entry
from twosome.language.tokens import TokenizedDecision
from twosome.language.tree import Layout, PackedRow, batches, decisions_of, edges_of, pack, padded, padded_size

ROW_TOKENS = 256
"""Nodes per token tree with dense attention. Larger trees share more of the prompts, but attention cost is quadratic."""
WINDOWS = r"^(?!.*(pattern|layers|num_|feed_forward|mamba)).*(window|local_attention|chunk_size|original_max_position)"
"""Entries of configurations: the number of tokens up to which each attends to all before it, and positions are not rescaled."""
PREDICTIONS = 256
"""Positions that are projected onto the whole vocabulary at once: 50 MB in float32 for a vocabulary of 49,152."""
T = TypeVar("T")


class Scorer(TreeEngine):
    """The engine of decoder-only models.

    Its cost is proportional to the number of distinct (prefix, token) pairs, not to decisions times actions. A row is not longer
    than an attention window of the model, since a tree's mask has no windows, and some families count the distance of tokens by
    their places in the row. Larger decisions are computed by `Rows`.

    tokens_computed: the number of input tokens so far; where the lower layers are cached (lower_layers.py), a token counts by the
    share of the layers above them. What the lower layers compute is not counted: it depends on what the cache holds, which a
    resumed run fills anew. Padding is included.
    """

    def __init__(
        self,
        lm: LanguageModel,
        norm: Normalization,
        batch_tokens: int | None = None,
        cache_mb: int = 512,
        scores: ActionScores = ActionScores.logprobs,
        row_tokens: int | None = None,
    ) -> None:
        """batch_tokens, cache_mb, scores: as in conf/model. row_tokens: nodes per token tree, see `row_tokens`."""
        super().__init__(lm, norm, batch_tokens, scores)
        self._row_tokens = row_tokens
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
        """Score decisions; each batch is one forward pass. See Engine."""
        tokenized = self.tokenize(texts)
        short, long = self._by_length(tokenized)
        some, few = [texts[index] for index in short], [tokenized[index] for index in short]
        for rows in batches(self._pack(few), self.batch_tokens):
            yield [short[index] for index in decisions_of(rows)], self._scores(rows, some, few)
        if long:
            self.rows.token_states = self.token_states
            for members, scores in self._counted(self.rows.batches([texts[index] for index in long])):
                yield [long[member] for member in members], scores

    def states(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """Compute the last hidden state at the last token of each prompt. See Engine."""
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
        for index, decision in enumerate(tokenized):
            (short if self.longest is None or decision.size() <= self.longest else long).append(index)
        return short, long

    def _counted(self, parts: Iterable[T]) -> Iterator[T]:
        """Yield what rows compute; count its tokens."""
        before = self.rows.tokens_computed
        yield from parts
        self.tokens_computed += self.rows.tokens_computed - before

    @property
    def row_tokens(self) -> int:
        """Nodes per token tree. The default with attention in blocks is batch_tokens, otherwise ROW_TOKENS."""
        nodes = self._row_tokens or (self.batch_tokens if self.in_blocks else ROW_TOKENS)
        return min(nodes, self.longest or nodes)

    @property
    def batch_tokens(self) -> int:
        """Tokens per forward pass (with attention in blocks: one row). The default depends on the model's current device."""
        tokens = super().batch_tokens
        return min(tokens, self.longest or tokens) if self.in_blocks else tokens

    @property
    def in_blocks(self) -> bool:
        """Whether attention is computed in blocks (cpu/attention.py), which is faster on CPUs, or with dense masks."""
        return self.device.type == "cpu" and uses_tree_attention(self.backbone)

    def _ends(self, prompts: Sequence[str]) -> list[TokenizedDecision]:
        """Tokenise prompts as decisions without actions."""
        return [TokenizedDecision(self.tokenize.prompt(prompt), ()) for prompt in prompts]

    def _pack(self, tokenized: Sequence[TokenizedDecision]) -> list[PackedRow]:
        return pack(tokenized, self.row_tokens, even=not self.in_blocks)

    def hidden(self, rows: Sequence[PackedRow]) -> Tensor:
        """Compute the last hidden states of the nodes of a batch of trees, tree by tree, (nodes, hidden)."""
        layout = self._layout(rows)
        with self.lm.computing():
            if self.lower is None:
                self.tokens_computed += self.input_tokens(rows)
                return layout.run(self.backbone, self.device)
            self.tokens_computed += round(self.lower.share * self.input_tokens(rows))
            return self.lower.run(rows, layout, self.device)

    def _layout(self, rows: Sequence[PackedRow]) -> Layout:
        return (flat if self.in_blocks else padded)(rows, self.lm.computing_dtype)

    def input_tokens(self, rows: Sequence[PackedRow]) -> int:
        """Return the number of tokens that the model computes for a batch of trees, padding included."""
        lengths = [len(row) for row in rows]
        return padded_size(sum(lengths)) if self.in_blocks else len(rows) * max(lengths)

    def warm_cache(self, texts: Sequence[DecisionText]) -> None:
        """Empty the cache of the lower layers, if there is one, and fill it with these decisions, as a run that has met them."""
        if self.lower is not None:
            self.lower.cache.clear()
            with self.lm.computing():
                self.lower.states(self.tokenize(texts))

    def _scores(self, rows: Sequence[PackedRow], texts: Sequence[DecisionText], tokenized: Sequence[TokenizedDecision]) -> Scores:
        """Score a batch, in the order of decisions_of. texts, tokenized: of all decisions."""
        hidden, edges = self.hidden(rows), edges_of(rows)
        nodes = sorted({node for node, _ in edges})
        place_of = {node: place for place, node in enumerate(nodes)}
        if self.in_blocks:
            nodes += nodes[-1:] * (padded_size(len(nodes)) - len(nodes))
        states = hidden[torch.tensor(nodes, device=self.device)]
        source = torch.tensor([place_of[node] for node, _ in edges], device=self.device)
        target = torch.tensor([token for _, token in edges], device=self.device)
        with self.lm.computing():
            logprobs = self.output.edge_log_probs(states, source, target)
            logits = self.output.edge_logits(states, source, target) if self.kind is ActionScores.logits else None
        return self.scores_of(rows, hidden, texts, tokenized, logprobs, logits)


class OutputLayer:
    """What a model does after its backbone: the output layer, and the scaling or bounding of logits that some families add.

    The model's own `forward` computes it, with a backbone that returns the given states. head: the output layer.
    """

    def __init__(self, lm: LanguageModel) -> None:
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
            return SlicedLogProbs.apply(states, self.head, source, target)
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
        """Return whether logits are what a packed output layer computes, to the bit, of small states and of large ones."""
        if not isinstance(self.head, PackedLinear):
            return False  # not asked
        sizes = torch.tensor([[1.0], [9], [99], [999]])
        states = torch.randn(4, self.head.in_features, generator=generators.of_stream(0, "output layer")) * sizes
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
