"""POAD: PPO whose unit is the token (Wen et al. 2024, "Reinforcing Language Agents via Policy Optimization with Action
Decomposition", arXiv 2405.15821), by the paper's Bellman backup with Action Decomposition (BAD).

An action of decision t is its tokens w_1 ... w_L. The state before token j is the prompt and w_1 ... w_(j-1). No time passes
inside an action, so nothing is discounted there; after it d_t primitive steps have passed and the reward r_t is given:

    target of V(s_t, w_1 ... w_(j-1)) = V(s_t, w_1 ... w_j)                  j < L
    target of V(s_t, w_1 ... w_(L-1)) = r_t + gamma^(d_t) V(s_(t+1))         after the last token

GAE (Schulman et al. 2016) over these steps, with delta_(t,j) = target - V:

    A_(t,j) = delta_(t,j) + token_lambda A_(t,j+1)                           j < L
    A_(t,L) = delta_(t,L) + gamma^(d_t) lambda A_(t+1,1)                     0 after an episode's end

Each token has a ratio of its own, rho_(t,j) = pi(w_j | ...) / pi_old(w_j | ...), clipped as PPO's. The loss of an action is the
sum over its tokens, as log pi(action) is, and the loss of a minibatch the mean over its actions. So by the chain rule approx_kl
estimates PPO's KL divergence of policies over actions, and with actions of one token all of this is PPO. The entropy bonus and
base_kl are those of the policy over actions, both exact.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from twosome.agents.agent import Evaluation, LearningAgent
from twosome.algorithms.algorithm import EnvRunner, require
from twosome.algorithms.ppo import (
    PPO,
    PolicyTerms,
    PPOConfig,
    clipped,
    entropy,
    explained_variance,
    normalize,
    surrogate,
    value_terms,
)
from twosome.algorithms.rollout import Batch, Transitions, rollout
from twosome.config import typed
from twosome.decision import Decision
from twosome.errors import check


@dataclass(frozen=True)
class POADConfig(PPOConfig):
    """PPO's options, of which gae_lambda counts decisions and token_lambda the tokens inside of them."""

    token_lambda: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, ("token_lambda",), lambda value: 0 <= value <= 1, "a number from 0 to 1")
        check(not self.pairwise_vloss, "algorithm.pairwise_vloss", "true", "false for values of tokens")


class TokenTargets(NamedTuple):
    """Of the tokens of the actions taken; all tensors are (samples, T), 0 in padding slots. mask: bool, true for tokens."""

    mask: Tensor
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


@dataclass(frozen=True)
class TokenBatch(Batch):
    """A batch whose unit is the token. values, advantages and returns are those of the actions' first tokens."""

    tokens: TokenTargets


class POAD(PPO):
    """PPO on the tokens of the actions taken: a sample is an action, with all of its tokens."""

    recurrent = False
    config: POADConfig

    def check(self, agent: LearningAgent) -> None:
        """See Algorithm."""
        check(agent.token_values, "algorithm", "poad", "an agent with values of tokens, such as baseline=poad")
        super().check(agent)

    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> TokenBatch:
        """Return num_steps decisions in every environment, with the tokens' advantages."""
        config = self.config
        collected = rollout(agent, runner, config.num_steps, generator)
        transitions = collected.transitions(self.values(agent), config.bootstrap_truncated)
        decisions, choices = collected.samples(), torch.cat(collected.choices)
        logprobs, mask = token_logprobs(agent, decisions, choices)
        with torch.no_grad():
            values = agent.token_value_function(decisions, choices)(torch.arange(len(decisions)))
        shape = (*transitions.rewards.shape, -1)
        advantages = token_gae(
            transitions, values.view(shape), mask.view(shape), config.gamma, config.gae_lambda, config.token_lambda
        ).view_as(values)
        tokens = TokenTargets(mask, logprobs, values, advantages, (advantages + values) * mask)
        first, own, returns = (each[:, 0] for each in tokens[2:])
        return TokenBatch(decisions, choices, torch.cat(collected.logprobs), first, own, returns, tokens)

    def advantages(self, batch: TokenBatch) -> Tensor:  # type: ignore[override]
        """See PPO: (samples, T)."""
        return batch.tokens.advantages

    def normalized(self, batch: TokenBatch, parts: Sequence[Tensor]) -> Tensor:  # type: ignore[override]
        """See PPO: over all tokens of a part."""
        advantages = torch.zeros_like(batch.tokens.advantages)
        for part in parts:
            mask, own = batch.tokens.mask[part], batch.tokens.advantages[part]
            advantages[part] = own.masked_scatter(mask, clipped(normalize(own[mask]), self.config.clip_adv))
        return advantages

    def evaluate(self, agent: LearningAgent, batch: Batch, chosen: Tensor) -> Iterator[tuple[list[int], Evaluation]]:
        """See PPO: with the tokens of the actions taken."""
        return agent.evaluate([batch.decisions[index] for index in chosen.tolist()], batch.choices[chosen])

    def policy_terms(  # type: ignore[override]
        self, batch: TokenBatch, found: Evaluation, index: Tensor, advantages: Tensor
    ) -> PolicyTerms:
        """See PPO: sums over an action's tokens; clipped is their mean."""
        assert found.tokens is not None  # by evaluate
        length = found.tokens.mask.shape[1]
        logratio = found.tokens.logprobs - batch.tokens.logprobs[index, :length]
        clip_range = (self.config.clip_coef, self.config.clip_coef_high)
        loss, approx_kl, outside = surrogate(logratio, advantages[:, :length], *clip_range)
        lengths = found.tokens.mask.sum(dim=1)
        return PolicyTerms(loss.sum(dim=1), entropy(found.log_policy), approx_kl.sum(dim=1), outside.sum(dim=1) / lengths)

    def values_of(self, found: Evaluation) -> Tensor:
        """See PPO: (m, T)."""
        assert found.tokens is not None
        assert found.tokens.values is not None  # by token_values and joint_values
        return found.tokens.values

    def value_function(self, agent: LearningAgent, batch: Batch) -> Callable[[Tensor], Tensor]:
        """See PPO: (m, T)."""
        return agent.token_value_function(batch.decisions, batch.choices)

    def value_terms(  # type: ignore[override]
        self, batch: TokenBatch, values: Tensor, index: Tensor, step: Tensor
    ) -> Tensor:
        """See PPO: the mean over an action's tokens."""
        length, tokens = values.shape[1], batch.tokens
        mask, old, returns = (each[index, :length] for each in (tokens.mask, tokens.values, tokens.returns))
        terms = value_terms(values, old, returns, self.config.clip_coef, self.config.clip_vloss)
        return (terms * mask).sum(dim=1) / mask.sum(dim=1)

    def explained_variance(self, batch: TokenBatch) -> float:  # type: ignore[override]
        """See PPO."""
        mask = batch.tokens.mask
        return explained_variance(batch.tokens.values[mask], batch.tokens.returns[mask])


def token_logprobs(agent: LearningAgent, decisions: Sequence[Decision], choices: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probabilities and mask of the tokens of the actions taken, (n, T) each, without gradient."""
    rows: dict[int, Tensor] = {}
    with torch.no_grad():
        for members, found in agent.evaluate(decisions, choices):
            assert found.tokens is not None  # by token_values
            for place, member in enumerate(members):
                rows[member] = found.tokens.logprobs[place][found.tokens.mask[place]]
    own = [rows[sample] for sample in range(len(decisions))]
    mask = pad_sequence([torch.ones_like(row, dtype=torch.bool) for row in own], batch_first=True)
    return pad_sequence(own, batch_first=True), mask


def token_gae(
    transitions: Transitions, values: Tensor, mask: Tensor, gamma: float, gae_lambda: float, token_lambda: float
) -> Tensor:
    """Return the advantages of all tokens, (steps, envs, T), 0 in padding slots; the module's docstring has the equations.

    transitions: of the decisions. values, mask: (steps, envs, T), of the state before each token, and which slots have one.
    """
    discounts = gamma**transitions.durations
    carry = discounts * gae_lambda * (~transitions.episode_ends).to(values.dtype)
    targets = transitions.rewards + discounts * transitions.next_values
    lengths = mask.sum(dim=2)
    advantages = torch.zeros_like(values)
    following = torch.zeros_like(values[0, :, 0])  # the advantage of the next decision's first token
    for step in reversed(range(len(values))):
        later = torch.zeros_like(following)
        for place in reversed(range(values.shape[2])):
            value = values[step, :, place]
            last = targets[step] - value + carry[step] * following
            inner = values[step, :, min(place + 1, values.shape[2] - 1)] - value + token_lambda * later
            later = torch.where(lengths[step] == place + 1, last, torch.where(lengths[step] > place, inner, 0.0))
            advantages[step, :, place] = later
        following = later
    return advantages


def build(**options: Any) -> POAD:
    """Build the algorithm of conf/algorithm/poad.yaml. options: as in POADConfig. Raises UserError."""
    return POAD(typed(POADConfig, OmegaConf.create(options), "algorithm"))
