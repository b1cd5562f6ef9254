"""The interface of engines, which score actions with a language model, and what those that compute token trees share."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from twosome.decision import DecisionText
from twosome.errors import UserError
from twosome.language.loading import LanguageModel
from twosome.language.norms import ActionScores, Normalization, combined
from twosome.language.tokens import DecisionTokenizer, TokenizedDecision
from twosome.language.tree import PackedRow, decisions_of, edges_of, starts_of

MASKED = -1e9
"""The score of a padding slot (no action). It is finite, so that probability times log-probability is 0 and not nan."""

LEAST_DIVISOR = 1e-4
"""With a smaller one, scores could fall below MASKED."""

BATCH_TOKENS = {"cpu": 768, "cuda": 2048}
"""Default tokens per forward pass, by device. Measured on 2 CPU cores with SmolLM2-135M: with 2048 tokens, whose activations do
not fit into the caches, an update takes 1.3 times as long."""


class Scores(NamedTuple):
    """Scores of D decisions with at most A actions of at most T tokens; padding slots of actions hold MASKED.

    logprobs: (D, A), log P(action | prompt), the sum over the action's tokens.
    scores: (D, A), what the policy is the softmax of: logprobs divided by the norm's divisor, or another of `ActionScores`.
    prompt_states: (D, hidden), float32, the last hidden state at the last token of each prompt, computed by the current model;
    of an encoder-decoder model the decoder's, at the position that predicts the first token of every action.
    tokens: (D, A, T), the terms of logprobs: log P(token | prompt, earlier tokens of the action); nan in padding slots.
    token_states: (D, A, T, hidden), float32, the last hidden state before each token, which is at the first token the prompt's;
    0 in padding slots. (D, A, T, 0) unless `Engine.token_states` is set.
    """

    logprobs: Tensor
    scores: Tensor
    prompt_states: Tensor
    tokens: Tensor
    token_states: Tensor

    def log_policy(self) -> Tensor:
        """Return the log-probability of choosing each action, (D, A): log-softmax over the decision's own actions."""
        return torch.log_softmax(self.scores, dim=-1)


class Engine(ABC):
    """A method of scoring decisions with a language model.

    hidden_size: of the hidden states. tokens_computed: the number of input tokens so far, padding included. tokenize: tokenises
    decisions. token_states: whether `batches` and `score` return `Scores.token_states`. kind: of `Scores.scores`.
    """

    hidden_size: int
    tokenize: DecisionTokenizer
    token_states: bool = False

    def __init__(
        self,
        lm: LanguageModel,
        norm: Normalization,
        batch_tokens: int | None = None,
        scores: ActionScores = ActionScores.logprobs,
    ) -> None:
        """norm: gives the divisor of each action's log-probability. batch_tokens: see `batch_tokens`. scores: their kind."""
        self.lm, self.normalization, self.kind = lm, norm, scores
        self._batch_tokens = batch_tokens
        self.tokens_computed = 0

    def norm(self, action_prompt: str, num_tokens: int) -> float:
        """Return the divisor of an action's log-probability. Raises UserError unless it is at least LEAST_DIVISOR and finite."""
        divisor = float(self.normalization(action_prompt, num_tokens))
        if not LEAST_DIVISOR <= divisor < math.inf:
            raise UserError(
                f"norm: it gave {divisor} for the action {action_prompt!r} of {num_tokens} tokens, expected a number from "
                f"{LEAST_DIVISOR} on"
            )
        return divisor

    @property
    def device(self) -> torch.device:
        """The device of the model and of all tensors that the engine returns."""
        device: torch.device = self.lm.base.get_output_embeddings().weight.device
        return device

    @property
    def batch_tokens(self) -> int:
        """Tokens per forward pass. The default depends on the model's current device."""
        return self._batch_tokens or BATCH_TOKENS[self.device.type]

    @abstractmethod
    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """Score distinct decisions batch by batch; yield (indices into texts, their Scores).

        The scores are differentiable in the trainable weights if grad is enabled. To bound the memory, run the backward pass of
        a batch before taking the next one.
        """

    @abstractmethod
    def states(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """Compute `Scores.prompt_states` alone; yield (indices into prompts, their states), otherwise as `batches`.

        (TWOSOME's reference code takes position -1 of a padded batch, which is a pad token for all but the longest prompt.)
        """

    @torch.no_grad()
    def features(self, prompts: Sequence[str]) -> Tensor:
        """Return the hidden states of prompts by the model before training, (len(prompts), hidden), float32, without gradient."""
        out = torch.empty(len(prompts), self.hidden_size, device=self.device)
        with self.reference():
            for indices, states in self.states(prompts):
                out[indices] = states
        return out

    def reference(self) -> AbstractContextManager[Any]:
        """Make the engine compute as before training within the context."""
        return self.lm.reference()

    @torch.no_grad()
    def token_features(self, actions: Sequence[tuple[str, str]]) -> list[Tensor]:
        """Return the hidden states before each token of actions by the model before training: of each (tokens, hidden), float32.

        actions: distinct pairs of an observation prompt and an action prompt.
        """
        found: dict[int, Tensor] = {}
        kept, self.token_states = self.token_states, True
        try:
            with self.reference():
                for indices, scores in self.batches([(prompt, (action,)) for prompt, action in actions]):
                    real = ~scores.tokens[:, 0].isnan()
                    found |= {index: scores.token_states[row, 0][real[row]] for row, index in enumerate(indices)}
        finally:
            self.token_states = kept
        return [found[index] for index in range(len(actions))]

    def action_tokens(self, texts: Sequence[DecisionText]) -> list[tuple[tuple[int, ...], ...]]:
        """Return the token ids of each decision's actions."""
        return [decision.actions for decision in self.tokenize(texts)]

    def sizes(self, texts: Sequence[DecisionText]) -> list[int]:
        """Return what each decision costs to score, in tokens."""
        return [decision.size() for decision in self.tokenize(texts)]

    def score(self, texts: Sequence[DecisionText]) -> Scores:
        """Score decisions, duplicates only once. Differentiable in the trainable weights if grad is enabled."""
        distinct = list(dict.fromkeys(texts))
        order, parts = [], []
        for indices, scores in self.batches(distinct):
            order += indices
            parts.append(scores)
        place = {distinct[index]: row for row, index in enumerate(order)}
        rows = torch.tensor([place[text] for text in texts], device=self.device)
        actions, length = (max(part.tokens.shape[dim] for part in parts) for dim in (1, 2))
        every = zip(*(widened(part, actions, length) for part in parts), strict=True)
        return Scores(*(torch.cat(part)[rows] for part in every))


def widened(scores: Scores, actions: int, length: int) -> Scores:
    """Pad scores to A = actions and T = length."""
    more, longer = actions - scores.tokens.shape[1], length - scores.tokens.shape[2]
    return Scores(
        pad(scores.logprobs, (0, more), value=MASKED),
        pad(scores.scores, (0, more), value=MASKED),
        scores.prompt_states,
        pad(scores.tokens, (0, longer, 0, more), value=torch.nan),
        pad(scores.token_states, (0, 0, 0, longer, 0, more)),
    )


class TreeEngine(Engine):
    """An engine that computes batches of token trees."""

    def scores_of(
        self,
        rows: Sequence[PackedRow],
        hidden: Tensor,
        texts: Sequence[DecisionText],
        tokenized: Sequence[TokenizedDecision],
        logprobs: Tensor,
        logits: Tensor | None = None,
    ) -> Scores:
        """Sum log-probabilities along the paths of a batch of trees; return its scores, in the order of decisions_of.

        hidden: last hidden states of all nodes, (nodes, hidden). texts, tokenized: of all decisions. logprobs: of the tokens of
        the edges, in the order of edges_of, (edges,). logits: the same, for the kind of scores that needs them.
        """
        members, edges = decisions_of(rows), len(logprobs)
        actions = max(len(tokenized[index].actions) for index in members)
        steps = max(len(action) for index in members for action in tokenized[index].actions)
        numbers = np.full((len(members), actions, steps), edges)  # the number of edges is a padding slot with value 0
        divisors = np.ones((len(members), actions), dtype=np.float32)
        offsets = np.cumsum([0, *(len(row.edges) for row in rows)])
        paths = [(offset, path) for offset, row in zip(offsets, rows, strict=False) for path in row.paths]
        for d, (index, (offset, path)) in enumerate(zip(members, paths, strict=True)):
            for a, (own, words) in enumerate(zip(path, texts[index][1], strict=True)):
                numbers[d, a, : len(own)] = offset + np.array(own)
                divisors[d, a] = self.norm(words, len(own))
        places = torch.from_numpy(numbers).to(logprobs.device)
        absent = places == edges
        missing = absent[:, :, 0]
        terms = pad(logprobs, (0, 1))[places]
        summed = terms if logits is None else pad(logits, (0, 1))[places]
        scores = combined(self.kind, summed, torch.from_numpy(divisors).to(logprobs.device), missing)
        return Scores(
            terms.sum(dim=-1).masked_fill(missing, MASKED),
            scores.masked_fill(missing, MASKED),
            prompt_states(rows, hidden),
            terms.masked_fill(absent, torch.nan),
            self._before(rows, hidden, places),
        )

    def _before(self, rows: Sequence[PackedRow], hidden: Tensor, places: Tensor) -> Tensor:
        """Return `Scores.token_states`. places: the numbers of edges, (D, A, T); how many there are for padding."""
        if not self.token_states:
            return hidden.new_zeros((*places.shape, 0), dtype=torch.float32)
        sources = torch.tensor([*(node for node, _ in edges_of(rows)), 0], device=hidden.device)
        return hidden[sources[places]].float().masked_fill((places == len(sources) - 1).unsqueeze(-1), 0.0)


def prompt_states(rows: Sequence[PackedRow], hidden: Tensor) -> Tensor:
    """Return the hidden states at the last token of each prompt, (decisions, hidden), float32. hidden: of all nodes."""
    ends = [start + end for start, row in zip(starts_of(rows), rows, strict=True) for end in row.prompt_ends]
    return hidden[torch.tensor(ends, device=hidden.device)].float()
