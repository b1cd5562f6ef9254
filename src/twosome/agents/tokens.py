"""baseline=poad: a language model that chooses an action token by token, with values of the states before each token."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from twosome import generators
from twosome.agents.agent import AgentContext, TokenTerms
from twosome.agents.heads import ValueHead
from twosome.agents.language import FEATURE_BYTES, LanguageAgent
from twosome.decision import Decision, DecisionText
from twosome.errors import check_choice
from twosome.language.engine import MASKED, Engine, Scores
from twosome.lru_cache import LRUCache

LEAST = 1e-6
"""The least probability of an end, where the model is sure that others go on."""


class Tokens(Enum):
    """Among which tokens a token's probability is normalised."""

    branches = "branches"
    """Those that some admissible action continues with."""
    vocabulary = "vocabulary"
    """All tokens of the vocabulary."""


class TokenAgent(LanguageAgent):
    """A language agent for algorithms whose unit is the token; the run's norm has no effect on it.

    With Tokens.branches the agent chooses token by token among those that some admissible action continues with, by the model's
    probabilities of these, renormalised (`among_branches`). The probability of an action is the product over its tokens. These
    products sum to 1 over the admissible actions, so acting and the tokens' probabilities are one policy.

    With Tokens.vocabulary the tokens' probabilities are the model's. They sum to less than 1 over the admissible actions. The
    agent acts by their renormalised products, which is what the model writes given that it writes an admissible action. Only the
    products' proportions then are those of the tokens' probabilities.

    The value head reads the hidden state before each token: of the model before training, computed once per action and cached in
    FEATURE_BYTES, or of the current one where it is joint. Before the first token it is the prompt's, whose value is the
    decision's.
    """

    token_values = True

    def __init__(self, engine: Engine, value_head: ValueHead, generator: torch.Generator, tokens: Tokens) -> None:
        """See LanguageAgent. tokens: among which a token's probability is normalised."""
        super().__init__(engine, value_head, generator)
        self.tokens = tokens
        engine.token_states = self.joint_values
        self._token_features: LRUCache[tuple[str, str], Tensor] = LRUCache(FEATURE_BYTES, lambda states: states.nbytes)

    def token_logprobs(self, scores: Scores, texts: Sequence[DecisionText]) -> Tensor:
        """See LanguageAgent."""
        if self.tokens is Tokens.vocabulary:
            return scores.tokens
        return among_branches(scores.tokens, self.engine.action_tokens(texts))

    def policy_of(self, scores: Scores, terms: Tensor) -> Tensor:
        """See LanguageAgent."""
        if self.tokens is Tokens.vocabulary:
            return torch.log_softmax(scores.logprobs, dim=-1)
        return terms.nan_to_num(0.0).sum(dim=-1).masked_fill(terms[:, :, 0].isnan(), MASKED)

    def _tokens_of(self, scores: Scores, terms: Tensor, rows: Tensor, choices: Tensor) -> TokenTerms:
        found = super()._tokens_of(scores, terms, rows, choices)
        if not self.joint_values:
            return found
        actions, own = torch.unique(torch.stack([rows, choices.to(rows.device)], dim=1), dim=0, return_inverse=True)
        states = scores.token_states[actions[:, 0], actions[:, 1], : found.mask.shape[1]]
        values = self.critic(states)[own]  # once for samples of the same action
        return found._replace(values=values * found.mask)

    def token_value_function(self, decisions: Sequence[Decision], choices: Tensor) -> Callable[[Tensor], Tensor]:
        """See LearningAgent. Joint values come without gradient: `evaluate` gives them with it."""
        if self.joint_values:
            values = self._joint_token_values(decisions, choices)
            return lambda index: values[index]
        actions = [(each.prompt, each.action_prompts[choice]) for each, choice in zip(decisions, choices.tolist(), strict=True)]
        known = self._token_features.of(actions, self._states)
        places, states, first = {}, list(known.values()), 0
        for action, rows in known.items():
            places[action] = torch.arange(first, first + len(rows))
            first += len(rows)
        # The last row, whose value is 0, stands for padding.
        index = nn.utils.rnn.pad_sequence([places[action] for action in actions], batch_first=True, padding_value=first)
        index, features = index.to(self.engine.device), torch.cat(states)
        self.critic.measure(features)
        return lambda chosen: nn.functional.pad(self.critic(features), (0, 1))[index[chosen]]

    def _states(self, actions: Sequence[tuple[str, str]]) -> list[Tensor]:
        return self.engine.token_features(actions)

    @torch.no_grad()
    def _joint_token_values(self, decisions: Sequence[Decision], choices: Tensor) -> Tensor:
        rows: dict[int, Tensor] = {}
        for members, found in self.evaluate(decisions, choices):
            assert found.tokens is not None
            assert found.tokens.values is not None
            rows |= dict(zip(members, found.tokens.values.unbind(), strict=True))
        return nn.utils.rnn.pad_sequence([rows[sample] for sample in range(len(decisions))], batch_first=True)

    def get_extra_state(self) -> dict[str, Any]:
        """See LanguageAgent."""
        features = [([*action], states) for action, states in self._token_features.state().items()]
        return {**super().get_extra_state(), "token_features": features}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """See LanguageAgent."""
        super().set_extra_state(state)
        self._token_features.clear()
        features = {(prompt, action): states.to(self.engine.device) for (prompt, action), states in state["token_features"]}
        self._token_features.keep(features)


def among_branches(tokens: Tensor, actions: Sequence[Sequence[tuple[int, ...]]]) -> Tensor:
    """Renormalise tokens' log-probabilities among the tokens that some action of their decision continues with, (D, A, T).

    tokens: (D, A, T), nan in padding slots, as in Scores; the normaliser over the vocabulary cancels. actions: the token ids of
    each decision's actions.

    Where an action ends and others go on, the tokens of these keep the model's probabilities, and the end gets the rest: that the
    model goes on otherwise. The end has no token of its own, so its probability is part of the action's last one. Actions of the
    same tokens share it equally.
    """
    tree = Branches.of(actions, *tokens.shape[1:])
    slots = nn.functional.pad(tokens.flatten(), (0, 1), value=-torch.inf)  # the last one stands for padding
    padded = nn.utils.rnn.pad_sequence(list(map(torch.tensor, tree.slots)), batch_first=True, padding_value=tokens.numel())
    sums = torch.logsumexp(slots[padded.to(tokens.device)], dim=1)
    ended = torch.zeros(len(sums), dtype=torch.bool)
    ended[list(tree.ends.values())] = True
    normalisers = sums.masked_fill(ended.to(tokens.device), 0.0)
    found = tokens - normalisers[tree.place_of.to(tokens.device)].view_as(tokens)
    if not (tree.ends or tree.copies):
        return found
    rest = torch.log(-torch.expm1(sums.clamp(max=-LEAST)))
    more = torch.zeros_like(slots[:-1])
    more[list(tree.ends)] = rest[list(tree.ends.values())]
    more[list(tree.copies)] -= torch.tensor(list(tree.copies.values()), device=tokens.device).log()
    return found + more.view_as(found)


class Branches(NamedTuple):
    """Where the tokens of actions are chosen. A place is a decision and a beginning of some of its actions; a slot is one of
    the D * A * T of tokens.

    slots: of each place, a slot for each distinct token. place_of: (slots,), the place of each slot. ends: by the last slot of
    the actions that others go on from, the place where these do. copies: by the last slot of actions of the same tokens, their
    number.
    """

    slots: list[list[int]]
    place_of: Tensor
    ends: dict[int, int]
    copies: dict[int, int]

    @classmethod
    def of(cls, actions: Sequence[Sequence[tuple[int, ...]]], width: int, length: int) -> "Branches":
        """Return those of decisions. width, length: A and T."""
        found = cls([], torch.zeros(len(actions) * width * length, dtype=torch.long), {}, {})
        for number, own in enumerate(actions):
            found._add(own, [(number * width + action) * length for action in range(len(own))])
        return found

    def _add(self, own: Sequence[tuple[int, ...]], firsts: Sequence[int]) -> None:
        """Add a decision. own: its actions' tokens. firsts: the slot of the first token of each."""
        places: dict[tuple[int, ...], int] = {}
        known: set[tuple[int, ...]] = set()
        for ids, first in zip(own, firsts, strict=True):
            for step in range(len(ids)):
                place = places.setdefault(ids[:step], len(self.slots))
                if place == len(self.slots):
                    self.slots.append([])
                if ids[: step + 1] not in known:
                    known.add(ids[: step + 1])
                    self.slots[place].append(first + step)
                self.place_of[first + step] = place
        for ids, first in zip(own, firsts, strict=True):
            if ids in places:
                self.ends[first + len(ids) - 1] = places[ids]
            if (copies := own.count(ids)) > 1:
                self.copies[first + len(ids) - 1] = copies


def build(context: AgentContext, tokens: str) -> TokenAgent:
    """Build the agent of conf/baseline/poad.yaml. tokens: a name of Tokens. Raises UserError."""
    check_choice("baseline.tokens", tokens, Tokens.__members__)
    tuning, value_head = context.part("tuning"), context.part("value_head")
    generator = generators.of_stream(context.seed, "token value head")
    return TokenAgent(context.load_engine(tuning), value_head, generator, Tokens[tokens])
