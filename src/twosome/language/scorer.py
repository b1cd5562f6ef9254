"""Scoring actions with a causal language model: distinct decisions, token trees, packed rows, few vocabulary projections."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.functional import pad

from twosome.decision import Text
from twosome.errors import UserError
from twosome.language.attention import takes_blocks
from twosome.language.config import BATCH_TOKENS, ROW_TOKENS, EngineConfig
from twosome.language.layout import flat, kept_size, padded
from twosome.language.loading import LanguageModel
from twosome.language.norms import Normalization, checked
from twosome.language.tokens import DecisionTokenizer, TokenizedDecision
from twosome.language.tree import Row, batches, pack, starts_of
from twosome.language.vocabulary import edge_log_probs, logits

MASKED = -1e9
"""The score of an action slot that a decision does not have: finite, so that probability times log-probability is 0."""


class Scores(NamedTuple):
    """Scores of D decisions with at most A actions; slots beyond a decision's own actions hold MASKED.

    logprobs: (D, A), log P(action | prompt), the sum over the action's tokens.
    scores: (D, A), logprobs over the normalisation's divisor.
    prompt_states: (D, hidden), float32, the last hidden state at each prompt's last token, with the adapter as it was.
    tokens: (D, A, T), the terms of logprobs, log P(token | prompt and the action's tokens before it); nan where there is none.
    """

    logprobs: Tensor
    scores: Tensor
    prompt_states: Tensor
    tokens: Tensor

    def log_policy(self) -> Tensor:
        """Log-probability of choosing each action, (D, A): softmax over the decision's own actions."""
        return torch.log_softmax(self.scores, dim=-1)


class Scorer:
    """The engine. Its cost follows the number of distinct tokens in context, not of decisions times actions.

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
        """lm: the model with its adapter; the rest as in EngineConfig."""
        self.engine = EngineConfig(row_tokens, batch_tokens)
        if not isinstance(lm.model, PeftModel):
            raise UserError("model.lora.rank=0: expected a positive rank; without an adapter there is nothing to train")
        self.lm, self.norm, self.model = lm, checked(norm), lm.model
        self.tokens_computed = self.tokens_projected = 0
        causal_lm: Any = lm.model.get_base_model()
        config = causal_lm.config.get_text_config()
        self.hidden_size: int = config.hidden_size
        self.backbone: Any = causal_lm.base_model
        self.head: Any = causal_lm.get_output_embeddings()
        self.softcap: float | None = getattr(config, "final_logit_softcapping", None)
        self.tokenize = DecisionTokenizer(lm.tokenizer, getattr(config, "max_position_embeddings", None))

    def score(self, texts: Sequence[Text]) -> Scores:
        """Scores of decisions (duplicates are computed once), differentiable in the adapter where grad is enabled."""
        distinct = list(dict.fromkeys(texts))
        order, parts = [], []
        for indices, scores in self.batches(distinct):
            order += indices
            parts.append(scores)
        place = {distinct[index]: row for row, index in enumerate(order)}
        rows = torch.tensor([place[text] for text in texts], device=self.device)
        every = joined(parts)
        return Scores(every.logprobs[rows], every.scores[rows], every.prompt_states[rows], every.tokens[rows])

    def batches(self, texts: Sequence[Text]) -> Iterator[tuple[list[int], Scores]]:
        """Score distinct decisions batch by batch, as (indices into texts, their Scores).

        For gradients in bounded memory: go backward through one batch before asking for the next.
        """
        tokenized = self.tokenize(texts)
        for rows in batches(pack(tokenized, self.row_tokens), self.batch_tokens):
            yield decisions_of(rows), self._scores(rows, texts, tokenized)

    @torch.no_grad()
    def features(self, prompts: Sequence[str]) -> Tensor:
        """Last hidden state at each prompt's own last token with the adapter off, (len(prompts), hidden), float32.

        What the critic reads. (The reference takes position -1 of a padded batch: a pad token for all but the longest.)
        """
        out = torch.empty(len(prompts), self.hidden_size, device=self.device)
        with self.model.disable_adapter():
            for rows in batches(pack(self._ends(prompts), self.row_tokens), self.batch_tokens):
                out[decisions_of(rows)] = self._prompt_states(rows, self.hidden(rows))
        return out

    @property
    def row_tokens(self) -> int:
        """Nodes in a token tree; by default as many as in a forward pass, where attention is not quadratic in them."""
        return self.engine.row_tokens or (self.batch_tokens if self.in_blocks else ROW_TOKENS)

    @property
    def batch_tokens(self) -> int:
        """Tokens in one forward pass; by default what suits the device on which the model lies now."""
        return self.engine.batch_tokens or BATCH_TOKENS[self.device.type]

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

    def _scores(self, rows: Sequence[Row], texts: Sequence[Text], tokenized: Sequence[TokenizedDecision]) -> Scores:
        """Scores of a batch, in the order of decisions_of; texts and tokenized are all decisions."""
        indices = decisions_of(rows)
        return self._gather(rows, self.hidden(rows), [texts[i] for i in indices], [tokenized[i] for i in indices])

    def hidden(self, rows: Sequence[Row]) -> Tensor:
        """Last hidden states of a batch of trees, (nodes, hidden), one tree's nodes after another's."""
        self.tokens_computed += self.input_tokens(rows)
        layout = (flat if self.in_blocks else padded)(rows, self.head.weight.dtype)
        return layout.run(self.backbone, self.device)

    def input_tokens(self, rows: Sequence[Row]) -> int:
        """The tokens that the model computes for a batch of trees, padding included."""
        lengths = [len(row) for row in rows]
        return kept_size(sum(lengths)) if self.in_blocks else len(rows) * max(lengths)

    def log_probs(self, states: Tensor) -> Tensor:
        """Log-probabilities of the next token after last hidden states (n, hidden): (n, vocabulary), float32."""
        return logits(self.head, states, self.softcap).log_softmax(dim=-1)

    def _gather(
        self, rows: Sequence[Row], hidden: Tensor, texts: Sequence[Text], tokenized: Sequence[TokenizedDecision]
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

    def _prompt_states(self, rows: Sequence[Row], hidden: Tensor) -> Tensor:
        """The hidden states at the ends of the rows' prompts, (decisions, hidden), float32."""
        ends = [start + end for start, row in zip(starts_of(rows), rows, strict=True) for end in row.prompt_ends]
        return hidden[torch.tensor(ends, device=self.device)].float()


def joined(parts: Sequence[Scores]) -> Scores:
    """The scores of several batches, one batch's decisions after another's."""
    actions, length = (max(part.tokens.shape[dim] for part in parts) for dim in (1, 2))
    return Scores(*map(torch.cat, zip(*(widened(part, actions, length) for part in parts), strict=True)))


def widened(scores: Scores, actions: int, length: int) -> Scores:
    """Scores with slots for so many actions of so many tokens."""
    more, longer = actions - scores.tokens.shape[1], length - scores.tokens.shape[2]
    return Scores(
        pad(scores.logprobs, (0, more), value=MASKED),
        pad(scores.scores, (0, more), value=MASKED),
        scores.prompt_states,
        pad(scores.tokens, (0, longer, 0, more), value=torch.nan),
    )


def decisions_of(rows: Sequence[Row]) -> list[int]:
    """The decisions of a batch, row by row."""
    return [index for row in rows for index in row.decisions]
