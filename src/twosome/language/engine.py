"""What computes the scores of actions, behind one interface for every kind of language model."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from twosome.decision import DecisionText
from twosome.language.loading import LanguageModel
from twosome.language.norms import Normalization, checked

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


class Engine(ABC):
    """Score decisions with a language model.

    hidden_size: of the states. tokens_computed: the model's input tokens so far, padding included.
    """

    hidden_size: int

    def __init__(self, lm: LanguageModel, norm: Normalization) -> None:
        """norm: divides the log-probability of each action."""
        self.lm, self.norm = lm, checked(norm)
        self.tokens_computed = 0

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the model lies, and all tensors that the engine returns."""

    @abstractmethod
    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """Score distinct decisions batch by batch, as (indices into texts, their Scores).

        Differentiable in what learns where grad is enabled. For gradients in bounded memory, go backward through one batch before
        asking for the next.
        """

    @abstractmethod
    def features(self, prompts: Sequence[str]) -> Tensor:
        """The states of prompts by the model as it was before training, (len(prompts), hidden), float32, without gradient."""

    def sizes(self, texts: Sequence[DecisionText]) -> list[int]:
        """Return what each decision costs to score, for work of equal parts: characters, unless an engine counts its tokens."""
        return [len(prompt) + sum(map(len, actions)) for prompt, actions in texts]

    def score(self, texts: Sequence[DecisionText]) -> Scores:
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
