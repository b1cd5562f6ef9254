"""The agent before and after training, and what it makes of decisions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from twosome.decision import Decision
from twosome.policies.agent import Agent
from twosome.policies.language import LanguageAgent

View = dict[str, list[Any]]
"""What an agent makes of a decision. probs: the probability of each action, in their order. If a language model acts also
logprobs: log P(action | prompt); scores: after the norm; tokens: of each action the log-probability of each token."""
END = "(end)"
"""The piece of an end that is no token; with baseline=poad it has a probability, too."""


@dataclass(frozen=True)
class Stage:
    """An agent in a state of training. when: "before" or "after", as in records. context: in which the agent is in that state."""

    when: str
    agent: Agent
    context: Callable[[], AbstractContextManager[Any]] = nullcontext

    @contextmanager
    def state(self) -> Iterator[Agent]:
        """Put the agent into this state within the context, with caches of its own."""
        memories = self.agent.get_extra_state()
        self.agent.eval()
        self.agent.begin_rollout()
        try:
            with self.context():
                yield self.agent
        finally:
            self.agent.set_extra_state(memories)


def untrained(after: Agent, make: Callable[[], Agent]) -> Stage | None:
    """Return the stage before training: the language model's reference, or another agent by make; None if nothing is trained."""
    if isinstance(after, LanguageAgent):
        return Stage("before", after, after.engine.reference)
    if after.language_model is not None:
        return Stage("before", after, after.language_model.reference)
    return Stage("before", make()) if after.export_folder else None


@torch.no_grad()
def views(stage: Stage, decisions: Sequence[Decision]) -> list[View]:
    """Return what an agent makes of distinct decisions."""
    with stage.state() as agent:
        if not isinstance(agent, LanguageAgent) or agent.policy_head.learns:  # its actions have no words
            rows = agent.log_policy(decisions).exp()
            return [{"probs": _numbers(row[: len(each.action_ids)])} for row, each in zip(rows, decisions, strict=True)]
        texts = [decision.text for decision in decisions]
        scores = agent.engine.score(texts)
        terms = agent.token_logprobs(scores, texts)
        policy = agent.policy_of(scores, terms).exp()
        logprobs = terms.nansum(-1)
        normed = type(agent).policy_of is LanguageAgent.policy_of  # others do not use the norm
        found = []
        for row, (_, actions) in enumerate(texts):
            own = slice(len(actions))
            tokens = [_numbers(term[~term.isnan()]) for term in terms[row, own]]
            score = (scores.scores if normed else logprobs)[row, own]
            view = {"probs": policy[row, own], "logprobs": logprobs[row, own], "scores": score}
            found.append({name: _numbers(values) for name, values in view.items()} | {"tokens": tokens})
        return found


def pieces(agent: Agent, decisions: Sequence[Decision], views: Sequence[View]) -> list[list[list[str]]] | None:
    """Return each action's tokens as text, for each decision; None without words. views: of the same decisions."""
    if not isinstance(agent, LanguageAgent) or agent.policy_head.learns:
        return None
    decode = agent.engine.lm.tokenizer.decode
    found = []
    for actions, view in zip(agent.engine.action_tokens([each.text for each in decisions]), views, strict=True):
        texts = [[str(decode([token])) for token in ids] for ids in actions]
        found.append([[*own, END][: len(tokens)] for own, tokens in zip(texts, view["tokens"], strict=True)])
    return found


def _numbers(values: torch.Tensor) -> list[float]:
    return [round(float(value), 6) for value in values.cpu()]
