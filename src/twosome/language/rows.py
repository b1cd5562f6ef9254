"""Score actions the plain way: a row for each distinct prompt and action, through the model's own `forward`."""

import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from twosome.decision import DecisionText
from twosome.language.engine import MASKED, Engine, Scores
from twosome.language.loading import LanguageModel
from twosome.language.norms import ActionScores, Normalization, combined
from twosome.language.tokens import DecisionTokenizer, TokenizedDecision, tokenizer_of

Row = tuple[tuple[int, ...], tuple[int, ...]]
"""The tokens of a prompt and of an action."""

UNEVEN = 1.5
"""The length of a batch's longest row, at most, as a multiple of its shortest one's: less is lost to padding."""


class Terms(NamedTuple):
    """What a row gives for its action's T tokens.

    logprobs, logits: (T,), of the tokens. states: (T, hidden), the input of the output layer before each token. greedy: (T,),
    whether each token is the most probable one.
    """

    logprobs: Tensor
    logits: Tensor
    states: Tensor
    greedy: Tensor


class Rows(Engine):
    """The engine for every architecture that transformers has, decoder-only and encoder-decoder.

    Rows are padded on the right only. So they need no attention mask and no position ids, and what a model computes of a row does
    not depend on the rows beside it: also where layers are recurrent or positions are not given. Two things would: the length
    of prompts in an encoder, and positions that are scaled from a length on. Rows that differ in these are batches apart.
    """

    def __init__(
        self,
        lm: LanguageModel,
        norm: Normalization,
        batch_tokens: int | None = None,
        scores: ActionScores = ActionScores.logprobs,
    ) -> None:
        """batch_tokens, scores: as in conf/model."""
        super().__init__(lm, norm, batch_tokens, scores)
        self.head: Any = lm.base.get_output_embeddings()
        self.hidden_size: int = self.head.weight.shape[1]
        self.tokenize: DecisionTokenizer = tokenizer_of(lm)
        self._rescaled = least_entry(lm.base.config, "^original_max_position_embeddings$") or sys.maxsize
        self._keeps = "logits_to_keep" in inspect.signature(lm.base.forward).parameters

    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """Score decisions. See Engine."""
        tokenized = self.tokenize(texts)
        for members in self._batches(tokenized):
            yield members, self._scores([texts[member] for member in members], [tokenized[member] for member in members])

    def states(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """Compute the states of prompts. See Engine."""
        # The last token of an action is no input, so an action of one token adds none to its prompt.
        ends = [TokenizedDecision(self.tokenize.prompt(prompt), ((0,),)) for prompt in prompts]
        for members in self._batches(ends):
            found = self._computed([ends[member] for member in members])
            yield members, torch.stack([found[ends[member].prompt, (0,)].states[0] for member in members])

    @torch.no_grad()
    def likelihoods(self, decisions: Sequence[TokenizedDecision]) -> Iterator[tuple[int, list[tuple[float, bool]]]]:
        """Yield log-probabilities of actions, and whether they are greedy. See Scorer."""
        for members in self._batches(decisions):
            found = self._computed([decisions[member] for member in members])
            for member in members:
                terms = [found[decisions[member].prompt, action] for action in decisions[member].actions]
                yield member, [(float(each.logprobs.double().sum()), bool(each.greedy.all())) for each in terms]

    def sizes(self, texts: Sequence[DecisionText]) -> list[int]:
        """Return the number of tokens of each decision's rows."""
        return list(map(_size, self.tokenize(texts)))

    def _batches(self, tokenized: Sequence[TokenizedDecision]) -> Iterator[list[int]]:
        """Yield indices of decisions whose rows have at most batch_tokens tokens together (or are those of one decision)."""
        order = sorted(range(len(tokenized)), key=lambda index: len(tokenized[index].prompt))
        batch: list[int] = []
        tokens = 0
        for index in order:
            if batch and tokens + _size(tokenized[index]) > self.batch_tokens:
                yield batch
                batch, tokens = [], 0
            batch.append(index)
            tokens += _size(tokenized[index])
        if batch:
            yield batch

    def _scores(self, texts: Sequence[DecisionText], tokenized: Sequence[TokenizedDecision]) -> Scores:
        found = self._computed(tokenized)
        actions = max(len(decision.actions) for decision in tokenized)
        steps = max(len(action) for decision in tokenized for action in decision.actions)
        tokens = torch.full((len(texts), actions, steps), torch.nan, device=self.device)
        summed = torch.zeros_like(tokens)
        states = torch.zeros(*tokens.shape, self.hidden_size if self.token_states else 0, device=self.device)
        divisor = torch.ones(len(texts), actions, device=self.device)
        for d, ((_, words), decision) in enumerate(zip(texts, tokenized, strict=True)):
            for a, action in enumerate(decision.actions):
                terms = found[decision.prompt, action]
                tokens[d, a, : len(action)] = terms.logprobs
                summed[d, a, : len(action)] = terms.logits if self.kind is ActionScores.logits else terms.logprobs
                divisor[d, a] = self.norm(words[a], len(action))
                if self.token_states:
                    states[d, a, : len(action)] = terms.states
        missing = tokens[:, :, 0].isnan()
        prompt_states = torch.stack([found[decision.prompt, decision.actions[0]].states[0] for decision in tokenized])
        logprobs = tokens.nan_to_num(0.0).sum(dim=-1).masked_fill(missing, MASKED)
        scores = combined(self.kind, summed, divisor, missing).masked_fill(missing, MASKED)
        return Scores(logprobs, scores, prompt_states, tokens, states)

    def _computed(self, decisions: Sequence[TokenizedDecision]) -> dict[Row, Terms]:
        """Compute the rows of decisions, each distinct one once."""
        groups: defaultdict[tuple[int, bool], list[Row]] = defaultdict(list)
        rows = dict.fromkeys((prompt, action) for prompt, actions in decisions for action in actions)
        for prompt, action in sorted(rows, key=lambda row: len(row[0]) + len(row[1])):
            encoded = len(prompt) if self.lm.base.config.is_encoder_decoder else 0
            groups[encoded, len(prompt) + len(action) > self._rescaled].append((prompt, action))
        found: dict[Row, Terms] = {}
        for group in groups.values():
            while group:
                size = 1
                shortest = sum(map(len, group[0]))
                while size < len(group) and sum(map(len, group[size])) <= min(UNEVEN * shortest, self.batch_tokens / (size + 1)):
                    size += 1
                found |= self._forward(group[:size])
                group = group[size:]
        return found

    def _forward(self, rows: Sequence[Row]) -> dict[Row, Terms]:
        """Run rows, padded on the right to the longest one."""
        separate = self.lm.base.config.is_encoder_decoder
        begin = (self.lm.base.config.decoder_start_token_id, *self.tokenize.begin) if separate else ()
        starts = [begin if separate else prompt for prompt, _ in rows]
        texts = [torch.tensor(start + action[:-1]) for start, (_, action) in zip(starts, rows, strict=True)]
        inputs = {"decoder_input_ids" if separate else "input_ids": pad_sequence(texts, batch_first=True)}
        if separate:
            inputs["input_ids"] = torch.tensor([prompt for prompt, _ in rows])
        self.tokens_computed += sum(ids.numel() for ids in inputs.values())
        places = [list(range(len(start) - 1, len(ids))) for start, ids in zip(starts, texts, strict=True)]
        kept = sorted({place for own in places for place in own}) if self._keeps else list(range(max(map(len, texts))))
        seen: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            with self.lm.computing():
                output = self.lm.base(
                    **{name: ids.to(self.device) for name, ids in inputs.items()},
                    use_cache=False,
                    **({"logits_to_keep": torch.tensor(kept, device=self.device)} if self._keeps else {}),
                )
        finally:
            hook.remove()
        found = {}
        for row, (own, logits, states) in zip(rows, zip(places, output.logits, seen[-1], strict=True), strict=True):
            index = torch.tensor([kept.index(place) for place in own], device=self.device)
            target = torch.tensor(row[1], device=self.device)
            chosen = logits[index].float()
            both = (each.gather(1, target[:, None])[:, 0] for each in (chosen.log_softmax(dim=-1), chosen))
            found[row] = Terms(next(both), next(both), states[index].float(), chosen.argmax(dim=-1) == target)
        return found


def _size(decision: TokenizedDecision) -> int:
    """Return the number of tokens in a decision's rows."""
    return sum(len(decision.prompt) + len(action) for action in decision.actions)


def least_entry(config: Any, names: str) -> int | None:
    """Return the least positive integer whose name fits the expression, at any depth of a configuration, or None."""
    found: list[int] = []

    def search(entries: Mapping[str, Any]) -> None:
        for name, value in entries.items():
            if isinstance(value, Mapping):
                search(value)
            elif re.search(names, str(name)) and type(value) is int and value > 0:
                found.append(value)

    search(config.get_text_config(decoder=True).to_dict())
    return min(found, default=None)
