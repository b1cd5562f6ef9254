"""An opponent of the engine: transformers' own functions, used as a careful user would.

The prompts of several distinct decisions are one batch. Their key-value cache is computed once, and every action of a decision
continues its own copy of it in a second batch. Logits are computed only at positions that predict a token of an action.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache

from twosome.decision import DecisionText
from twosome.language.engine import MASKED, Engine, Scores
from twosome.language.loading import LanguageModel
from twosome.language.norms import Normalization
from twosome.language.tokens import DecisionTokenizer, TokenizedDecision


class Padded(NamedTuple):
    """Sequences as a batch, padded on the right, (rows, length) each. mask: 1 for tokens, 0 for padding."""

    ids: Tensor
    mask: Tensor

    @classmethod
    def of(cls, sequences: Sequence[tuple[int, ...]], device: torch.device) -> "Padded":
        """Pad sequences of token ids to the longest."""
        ids = pad_sequence([torch.tensor(sequence) for sequence in sequences], batch_first=True)
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        return cls(ids.to(device), (torch.arange(ids.shape[1]) < lengths[:, None]).long().to(device))


class CachedEngine(Engine):
    """Scores of distinct decisions by transformers' DynamicCache.

    size: decisions per batch. tokens_computed, tokens_projected: as of `language.scorer.Scorer`.
    """

    def __init__(self, lm: LanguageModel, norm: Normalization, size: int) -> None:
        super().__init__(lm, norm)
        self.size, self.tokens_projected = size, 0
        self.backbone: Any = lm.base.base_model
        self.head: Any = lm.base.get_output_embeddings()
        self.config = lm.base.config.get_text_config()
        self.hidden_size: int = self.config.hidden_size
        self.tokenize = DecisionTokenizer(lm.tokenizer, getattr(self.config, "max_position_embeddings", None))

    @property
    def device(self) -> torch.device:
        """See Engine."""
        return self.head.weight.device

    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """See Engine; decisions of similar length are in one batch, for little padding."""
        tokenized = self.tokenize(texts)
        order = sorted(range(len(texts)), key=lambda index: (len(tokenized[index].prompt), _longest(tokenized[index])))
        for first in range(0, len(order), self.size):
            indices = order[first : first + self.size]
            yield indices, self._scores([texts[index] for index in indices], [tokenized[index] for index in indices])

    def states(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """See Engine."""
        tokenized = [self.tokenize.prompt(prompt) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda index: len(tokenized[index]))
        for first in range(0, len(order), self.size):
            indices = order[first : first + self.size]
            batch = Padded.of([tokenized[index] for index in indices], self.device)
            yield indices, _at_ends(self._run(batch, batch.mask, use_cache=False).last_hidden_state, batch).float()

    def _run(self, batch: Padded, visible: Tensor, **options: Any) -> Any:
        """Run the model. visible: the mask of the batch's tokens and, before them, of those in the cache."""
        self.tokens_computed += batch.ids.numel()
        positions = (visible.cumsum(dim=1) - 1).clamp(min=0)[:, -batch.ids.shape[1] :]
        return self.backbone(input_ids=batch.ids, attention_mask=visible, position_ids=positions, **options)

    def _scores(self, texts: Sequence[DecisionText], tokenized: Sequence[TokenizedDecision]) -> Scores:
        """Score one batch."""
        prompts = Padded.of([decision.prompt for decision in tokenized], self.device)
        output = self._run(prompts, prompts.mask, use_cache=True, past_key_values=DynamicCache(config=self.config))
        states = _at_ends(output.last_hidden_state, prompts)
        actions = [action for decision in tokenized for action in decision.actions]
        owners = torch.tensor([row for row, decision in enumerate(tokenized) for _ in decision.actions])
        longer = [row for row, action in enumerate(actions) if len(action) > 1]
        predicting = states  # one row per decision, then one per token of an action before its last
        if longer:
            inputs = Padded.of([actions[row][:-1] for row in longer], self.device)
            mine = owners[longer].to(self.device)
            output.past_key_values.reorder_cache(mine)
            visible = torch.cat([prompts.mask[mine], inputs.mask], dim=1)
            after = self._run(inputs, visible, use_cache=True, past_key_values=output.past_key_values).last_hidden_state
            predicting = torch.cat([states, after[inputs.mask.bool()]])
        return self._assembled(texts, tokenized, states, self._log_probs(predicting, tokenized, owners, actions))

    def _log_probs(
        self, predicting: Tensor, tokenized: Sequence[TokenizedDecision], owners: Tensor, actions: Sequence[tuple[int, ...]]
    ) -> list[Tensor]:
        """Return the log-probabilities of each action's tokens. predicting: see `_scores`."""
        self.tokens_projected += len(predicting)
        logits = self.head(predicting).float()
        if softcap := getattr(self.config, "final_logit_softcapping", None):
            logits = softcap * torch.tanh(logits / softcap)
        place, sources = len(tokenized), []
        for owner, action in zip(owners.tolist(), actions, strict=True):
            sources += [owner, *range(place, place + len(action) - 1)]
            place += len(action) - 1
        source = torch.tensor(sources, device=self.device)
        target = torch.tensor([token for action in actions for token in action], device=self.device)
        found = logits[source, target] - logits.logsumexp(dim=-1)[source]
        return list(found.split([len(action) for action in actions]))

    def _assembled(
        self, texts: Sequence[DecisionText], tokenized: Sequence[TokenizedDecision], states: Tensor, terms: list[Tensor]
    ) -> Scores:
        """Return the scores. states: of the prompts' last tokens. terms: log-probabilities of each action's tokens."""
        counts = [len(decision.actions) for decision in tokenized]
        tokens = pad_sequence(terms, batch_first=True, padding_value=torch.nan)
        totals = tokens.nansum(dim=1)
        prompts = [words for _, phrases in texts for words in phrases]
        divisors = torch.tensor([self.norm(words, len(term)) for words, term in zip(prompts, terms, strict=True)])
        scores = totals / divisors.to(self.device)

        def by_decision(values: Tensor, padding: float) -> Tensor:
            return pad_sequence(list(values.split(counts)), batch_first=True, padding_value=padding)

        by_token = by_decision(tokens, torch.nan)
        none = by_token.new_zeros((*by_token.shape, 0))
        return Scores(by_decision(totals, MASKED), by_decision(scores, MASKED), states.float(), by_token, none)


def _longest(decision: TokenizedDecision) -> int:
    return max(map(len, decision.actions))


def _at_ends(hidden: Tensor, batch: Padded) -> Tensor:
    """Return the last hidden state of each sequence's last token, (rows, hidden)."""
    return hidden[torch.arange(len(hidden), device=hidden.device), batch.mask.sum(dim=1) - 1]
