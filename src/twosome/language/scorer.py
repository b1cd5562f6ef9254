"""Score actions with a decoder-only model: distinct decisions, token trees, packed rows, few vocabulary projections."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from twosome.decision import DecisionText
from twosome.language.attention import takes_blocks
from twosome.language.config import BATCH_TOKENS, ROW_TOKENS, EngineConfig
from twosome.language.engine import MASKED, Engine, Scores
from twosome.language.layout import flat, kept_size, padded
from twosome.language.loading import LanguageModel
from twosome.language.norms import Normalization
from twosome.language.tokens import DecisionTokenizer, TokenizedDecision
from twosome.language.tree import PackedRow, batches, pack, starts_of
from twosome.language.vocabulary import edge_log_probs, logits


class Scorer(Engine):
    """The engine of decoder-only models.

    Its cost follows the number of distinct tokens in context, not of decisions times actions.

    tokens_computed and tokens_projected count the model's input tokens and the positions that were projected onto the
    vocabulary, padding included.
    """

    def __init__(
        self,
        lm: LanguageModel,
        norm: Normalization,
        row_tokens: int | None = EngineConfig.row_tokens,
        batch_tokens: int | None = EngineConfig.batch_tokens,
    ) -> None:
        """row_tokens, batch_tokens: as in EngineConfig."""
        super().__init__(lm, norm)
        self.options = EngineConfig(row_tokens, batch_tokens)
        self.tokens_projected = 0
        causal_lm = lm.base
        config = causal_lm.config.get_text_config()
        self.hidden_size: int = config.hidden_size
        self.backbone: Any = causal_lm.base_model
        self.head: Any = causal_lm.get_output_embeddings()
        self.softcap: float | None = getattr(config, "final_logit_softcapping", None)
        self.tokenize = DecisionTokenizer(lm.tokenizer, getattr(config, "max_position_embeddings", None))

    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """See Engine; a batch is what one forward pass computes."""
        tokenized = self.tokenize(texts)
        for rows in batches(pack(tokenized, self.row_tokens), self.batch_tokens):
            yield decisions_of(rows), self._scores(rows, texts, tokenized)

    def sizes(self, texts: Sequence[DecisionText]) -> list[int]:
        """See Engine: tokens."""
        return [len(each.prompt) + sum(map(len, each.actions)) for each in self.tokenize(texts)]

    @torch.no_grad()
    def features(self, prompts: Sequence[str]) -> Tensor:
        """See Engine: the last hidden state at each prompt's own last token.

        (TWOSOME's reference code takes position -1 of a padded batch: a pad token for all but the longest.)"""
        out = torch.empty(len(prompts), self.hidden_size, device=self.device)
        with self.lm.reference():
            for rows in batches(pack(self._ends(prompts), self.row_tokens), self.batch_tokens):
                out[decisions_of(rows)] = self._prompt_states(rows, self.hidden(rows))
        return out

    @property
    def row_tokens(self) -> int:
        """Nodes in a token tree; by default as many as in a forward pass, where attention is not quadratic in them."""
        return self.options.row_tokens or (self.batch_tokens if self.in_blocks else ROW_TOKENS)

    @property
    def batch_tokens(self) -> int:
        """Tokens in one forward pass; by default what suits the device on which the model lies now."""
        return self.options.batch_tokens or BATCH_TOKENS[self.device.type]

    @property
    def in_blocks(self) -> bool:
        """Whether nodes attend in blocks (attention.py) rather than by whole masks: as is faster on CPUs."""
        return self.device.type == "cpu" and takes_blocks(self.backbone)

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return self.head.weight.device

    def _ends(self, prompts: Sequence[str]) -> list[TokenizedDecision]:
        """Prompts alone, as decisions without actions."""
        return [TokenizedDecision(self.tokenize.prompt(prompt), ()) for prompt in prompts]

    def _scores(self, rows: Sequence[PackedRow], texts: Sequence[DecisionText], tokenized: Sequence[TokenizedDecision]) -> Scores:
        """Scores of a batch, in the order of decisions_of; texts and tokenized are all decisions."""
        indices = decisions_of(rows)
        return self._gather(rows, self.hidden(rows), [texts[i] for i in indices], [tokenized[i] for i in indices])

    def hidden(self, rows: Sequence[PackedRow]) -> Tensor:
        """Last hidden states of a batch of trees, (nodes, hidden), one tree's nodes after another's."""
        self.tokens_computed += self.input_tokens(rows)
        layout = (flat if self.in_blocks else padded)(rows, self.head.weight.dtype)
        return layout.run(self.backbone, self.device)

    def input_tokens(self, rows: Sequence[PackedRow]) -> int:
        """The tokens that the model computes for a batch of trees, padding included."""
        lengths = [len(row) for row in rows]
        return kept_size(sum(lengths)) if self.in_blocks else len(rows) * max(lengths)

    def log_probs(self, states: Tensor) -> Tensor:
        """Log-probabilities of the next token after last hidden states (n, hidden): (n, vocabulary), float32."""
        return logits(self.head, states, self.softcap).log_softmax(dim=-1)

    def _gather(
        self, rows: Sequence[PackedRow], hidden: Tensor, texts: Sequence[DecisionText], tokenized: Sequence[TokenizedDecision]
    ) -> Scores:
        """Project the predicting nodes onto the vocabulary and add up every action's path."""
        starts = starts_of(rows)
        edges = [(start + node, token) for start, row in zip(starts, rows, strict=True) for node, token in row.edges]
        nodes = sorted({node for node, _ in edges})
        place_of = {node: place for place, node in enumerate(nodes)}
        if self.in_blocks:
            nodes += nodes[-1:] * (kept_size(len(nodes)) - len(nodes))
        self.tokens_projected += len(nodes)
        states = hidden[torch.tensor(nodes, device=self.device)]
        source = torch.tensor([place_of[node] for node, _ in edges], device=self.device)
        target = torch.tensor([token for _, token in edges], device=self.device)
        edge_logprobs = edge_log_probs(self.head, states, source, target, self.softcap)

        actions = max(len(decision.actions) for decision in tokenized)
        steps = max(len(action) for decision in tokenized for action in decision.actions)
        index = np.full((len(texts), actions, steps), len(edges))  # len(edges) is a slot that holds 0
        divisor = np.ones((len(texts), actions), dtype=np.float32)
        offsets = np.cumsum([0, *(len(row.edges) for row in rows)])
        paths = [(offset, path) for offset, row in zip(offsets, rows, strict=False) for path in row.paths]
        for d, ((offset, path), (_, prompts), decision) in enumerate(zip(paths, texts, tokenized, strict=True)):
            for a, (edge_numbers, words, tokens) in enumerate(zip(path, prompts, decision.actions, strict=True)):
                index[d, a, : len(edge_numbers)] = offset + np.array(edge_numbers)
                divisor[d, a] = self.norm(words, len(tokens))
        places = torch.from_numpy(index).to(self.device)
        absent = places == len(edges)
        missing = absent[:, :, 0]
        terms = pad(edge_logprobs, (0, 1))[places]
        logprobs = terms.sum(dim=-1)
        scores = logprobs / torch.from_numpy(divisor).to(self.device)
        return Scores(
            logprobs.masked_fill(missing, MASKED),
            scores.masked_fill(missing, MASKED),
            self._prompt_states(rows, hidden),
            terms.masked_fill(absent, torch.nan),
        )

    def _prompt_states(self, rows: Sequence[PackedRow], hidden: Tensor) -> Tensor:
        """The hidden states at the ends of the rows' prompts, (decisions, hidden), float32."""
        ends = [start + end for start, row in zip(starts_of(rows), rows, strict=True) for end in row.prompt_ends]
        return hidden[torch.tensor(ends, device=self.device)].float()


def decisions_of(rows: Sequence[PackedRow]) -> list[int]:
    """The decisions of a batch, row by row."""
    return [index for row in rows for index in row.decisions]
