"""The interface of engines, which score actions with a language model."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from twosome.decision import DecisionText
from twosome.errors import UserError
from twosome.language.action_scores import ActionScores
from twosome.language.loading import LanguageModel
from twosome.language.norms import Normalization
from twosome.language.tokens import DecisionTokenizer

MASKED = -1e9
"""The score of a padding slot (no action). It is finite, so that probability times log-probability is 0 and not nan."""

LEAST_DIVISOR = 1e-4
"""With a smaller one, scores could fall below MASKED."""


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

    def __init__(self, lm: LanguageModel, norm: Normalization, scores: ActionScores = ActionScores.logprobs) -> None:
        """norm: gives the divisor of each action's log-probability. scores: their kind."""
        self.lm, self.normalization, self.kind = lm, norm, scores
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
    @abstractmethod
    def device(self) -> torch.device:
        """The device of the model and of all tensors that the engine returns."""

    @abstractmethod
    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """Score distinct decisions batch by batch; yield (indices into texts, their Scores).

        The scores are differentiable in the trainable weights if grad is enabled. To bound the memory, run the backward pass of
        a batch before taking the next one.
        """

    @abstractmethod
    def states(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """Compute `Scores.prompt_states` alone; yield (indices into prompts, their states), otherwise as `batches`."""

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
        """Return what each decision costs to score, for work of equal parts: characters, unless an engine counts its tokens."""
        return [len(prompt) + sum(map(len, actions)) for prompt, actions in texts]

    def score(self, texts: Sequence[DecisionText]) -> Scores:
        """Score decisions, duplicates only once. Differentiable in the trainable weights if grad is enabled."""
        distinct = list(dict.fromkeys(texts))
        order, parts = [], []
        for indices, scores in self.batches(distinct):
            order += indices
            parts.append(scores)
        place = {distinct[index]: row for row, index in enumerate(order)}
        rows = torch.tensor([place[text] for text in texts], device=self.device)
        every = concatenate(parts)
        return Scores(*(part[rows] for part in every))


def concatenate(parts: Sequence[Scores]) -> Scores:
    """Concatenate the scores of several batches, padded to the same A and T."""
    actions, length = (max(part.tokens.shape[dim] for part in parts) for dim in (1, 2))
    return Scores(*map(torch.cat, zip(*(widened(part, actions, length) for part in parts), strict=True)))


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
