"""Score actions with a decoder-only model, by packed token trees of the distinct decisions."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from twosome.decision import DecisionText
from twosome.language.action_scores import ActionScores
from twosome.language.attention import uses_tree_attention
from twosome.language.config import BATCH_TOKENS, ROW_TOKENS, EngineConfig
from twosome.language.engine import Engine, Scores, check_kind
from twosome.language.gather import decisions_of, edges_of, prompt_states, scores_of
from twosome.language.layout import Layout, flat, padded, padded_size
from twosome.language.loading import LanguageModel
from twosome.language.lower_layers import LowerLayers, frozen_depth
from twosome.language.norms import Normalization
from twosome.language.tokens import DecisionTokenizer, TokenizedDecision
from twosome.language.tree import PackedRow, batches, pack
from twosome.language.vocabulary import edge_log_probs, edge_logits, logits


class Scorer(Engine):
    """The engine of decoder-only models.

    Its cost is proportional to the number of distinct (prefix, token) pairs, not to decisions times actions.

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
        """row_tokens, batch_tokens, cache_mb, scores: as in EngineConfig. Raises UserError for an encoder-decoder model."""
        check_kind(lm, "decoder_only")
        super().__init__(lm, norm, scores)
        self.options = EngineConfig(row_tokens, batch_tokens, cache_mb, scores)
        self.tokens_projected = 0
        causal_lm = lm.base
        config = causal_lm.config.get_text_config()
        self.hidden_size: int = config.hidden_size
        self.backbone: Any = causal_lm.base_model
        self.head: Any = causal_lm.get_output_embeddings()
        self.softcap: float | None = getattr(config, "final_logit_softcapping", None)
        self.tokenize = DecisionTokenizer(lm.tokenizer, getattr(config, "max_position_embeddings", None))
        depth = frozen_depth(lm) if cache_mb else 0
        self.lower = LowerLayers(lm, depth, cache_mb, self._layout) if depth else None

    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """See Engine; each batch is one forward pass."""
        tokenized = self.tokenize(texts)
        for rows in batches(self._pack(tokenized), self.batch_tokens):
            yield decisions_of(rows), self._scores(rows, texts, tokenized)

    def sizes(self, texts: Sequence[DecisionText]) -> list[int]:
        """See Engine: tokens."""
        return [len(each.prompt) + sum(map(len, each.actions)) for each in self.tokenize(texts)]

    def states(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """Compute the last hidden state at the last token of each prompt; see Engine.

        (TWOSOME's reference code takes position -1 of a padded batch, which is a pad token for all but the longest prompt.)
        """
        for rows in batches(self._pack(self._ends(prompts)), self.batch_tokens):
            yield decisions_of(rows), prompt_states(rows, self.hidden(rows))

    @property
    def row_tokens(self) -> int:
        """Nodes per token tree. The default with attention in blocks is batch_tokens, otherwise ROW_TOKENS."""
        return self.options.row_tokens or (self.batch_tokens if self.in_blocks else ROW_TOKENS)

    @property
    def batch_tokens(self) -> int:
        """Tokens per forward pass. The default depends on the model's current device."""
        return self.options.batch_tokens or BATCH_TOKENS[self.device.type]

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

    def log_probs(self, states: Tensor) -> Tensor:
        """Return log-probabilities of the next token, (n, vocabulary), float32, from last hidden states (n, hidden)."""
        with self.lm.computing():
            return logits(self.head, states, self.softcap).log_softmax(dim=-1)

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
            edge_logprobs = edge_log_probs(self.head, states, source, target, self.softcap)
            raw = edge_logits(self.head, states, source, target, self.softcap) if self.kind is ActionScores.logits else None
        return scores_of(edge_logprobs, hidden, rows, texts, tokenized, self.norm, self.token_states, self.kind, raw)
