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
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from twosome.algorithms.algorithm import Algorithm
from twosome.algorithms.ppo.config import PPOConfig
from twosome.algorithms.ppo.losses import PolicyTerms, clipped, entropy, explained_variance, normalize, surrogate, value_terms
from twosome.algorithms.ppo.ppo import PPO
from twosome.algorithms.rollout import Batch, Transitions, rollout
from twosome.algorithms.runner import EnvRunner
from twosome.decision import Decision
from twosome.errors import UserError
from twosome.policies.agent import Evaluation, LearningAgent


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

    @property
    def credit(self) -> Tensor:
        """See Batch: (samples, T)."""
        return self.tokens.advantages

    def normalized(self, parts: Sequence[Tensor], most: float | None) -> Tensor:
        """See Batch: over all tokens of a part."""
        advantages = torch.zeros_like(self.tokens.advantages)
        for part in parts:
            mask, own = self.tokens.mask[part], self.tokens.advantages[part]
            advantages[part] = own.masked_scatter(mask, clipped(normalize(own[mask]), most))
        return advantages

    def evaluated(self, agent: LearningAgent, chosen: Tensor) -> Iterator[tuple[list[int], Evaluation]]:
        """See Batch."""
        return agent.evaluate([self.decisions[index] for index in chosen.tolist()], self.choices[chosen])

    def policy_terms(self, found: Evaluation, index: Tensor, advantages: Tensor, config: PPOConfig) -> PolicyTerms:
        """See Batch: sums over an action's tokens; clipped is their mean."""
        assert found.tokens is not None  # by evaluated
        length = found.tokens.mask.shape[1]
        logratio = found.tokens.logprobs - self.tokens.logprobs[index, :length]
        loss, approx_kl, outside = surrogate(logratio, advantages[:, :length], config.clip_coef, config.clip_coef_high)
        lengths = found.tokens.mask.sum(dim=1)
        return PolicyTerms(loss.sum(dim=1), entropy(found.log_policy), approx_kl.sum(dim=1), outside.sum(dim=1) / lengths)

    def values_of(self, found: Evaluation) -> Tensor:
        """See Batch: (m, T)."""
        assert found.tokens is not None
        assert found.tokens.values is not None  # by token_values and joint_values
        return found.tokens.values

    def value_function(self, agent: LearningAgent) -> Callable[[Tensor], Tensor]:
        """See Batch: (m, T)."""
        return agent.token_value_function(self.decisions, self.choices)

    def value_terms(self, values: Tensor, index: Tensor, config: PPOConfig, step: Tensor) -> Tensor:
        """See Batch: the mean over an action's tokens."""
        length, tokens = values.shape[1], self.tokens
        mask, old, returns = (each[index, :length] for each in (tokens.mask, tokens.values, tokens.returns))
        terms = value_terms(values, old, returns, config.clip_coef, config.clip_vloss)
        return (terms * mask).sum(dim=1) / mask.sum(dim=1)

    def explained_variance(self) -> float:
        """See Batch."""
        return explained_variance(self.tokens.values[self.tokens.mask], self.tokens.returns[self.tokens.mask])


class POAD(PPO):
    """PPO on the tokens of the actions taken. Its options are PPO's: a sample is an action, with all of its tokens.

    gae_lambda counts decisions, token_lambda the tokens inside of them.
    """

    recurrent = False

    def __init__(self, config: PPOConfig, token_lambda: float) -> None:
        super().__init__(config)
        self.token_lambda = token_lambda

    def with_config(self, config: PPOConfig) -> "POAD":
        """See PPO."""
        return POAD(config, self.token_lambda)

    def check(self, agent: LearningAgent) -> None:
        """See Algorithm."""
        if not agent.token_values:
            raise UserError("algorithm=poad: expected an agent with values of tokens; choose baseline=poad")
        if self.config.pairwise_vloss:
            raise UserError(
                "algorithm.pairwise_vloss=true: expected false for values of tokens; choose baseline=glam, or leave it out"
            )
        super().check(agent)

    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> TokenBatch:
        """num_steps decisions in every environment, with the tokens' advantages."""
        config = self.config
        collected = rollout(agent, runner, config.num_steps, generator)
        transitions = collected.transitions(agent.values, config.bootstrap_truncated)
        decisions, choices = collected.samples(), torch.cat(collected.choices)
        logprobs, mask = token_logprobs(agent, decisions, choices)
        with torch.no_grad():
            values = agent.token_value_function(decisions, choices)(torch.arange(len(decisions)))
        shape = (*transitions.rewards.shape, -1)
        advantages = token_gae(
            transitions, values.view(shape), mask.view(shape), config.gamma, config.gae_lambda, self.token_lambda
        ).view_as(values)
        tokens = TokenTargets(mask, logprobs, values, advantages, (advantages + values) * mask)
        first, credit, returns = (each[:, 0] for each in tokens[2:])
        return TokenBatch(decisions, choices, torch.cat(collected.logprobs), first, credit, returns, tokens)


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


def build(**options: Any) -> "Algorithm":
    """Build the algorithm of conf/algorithm/poad.yaml."""
    from twosome.algorithms import builders

    made: Algorithm = builders.poad(**options)
    return made
