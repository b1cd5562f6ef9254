"""REINFORCE (Williams 1992) with a leave-one-out baseline (RLOO: Kool et al. 2019; Ahmadian et al. 2024, arXiv 2402.14740).

The return of episode i of the n episodes of an update, whose decisions t last d_t primitive steps:

    R_i = sum_t gamma^(d_0 + ... + d_(t-1)) r_t

Its baseline is the mean return of the others, which does not depend on its actions:

    A_i = R_i - 1 / (n - 1) sum_(j != i) R_j

The gradient of sum_i A_i sum_t log pi(a_t | s_t) / n then is an unbiased estimate of that of the expected discounted return: the
discount is in R_i, every decision of the episode has all of its return, and no factor gamma^t is left out.

It learns from whole episodes, as GRPO does; `Episodic` is what both have in common.
"""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.optim import AdamW, Optimizer

from twosome.agents.agent import LearningAgent
from twosome.algorithms.algorithm import Algorithm, EnvRunner, Metrics, Progress, take_step
from twosome.algorithms.ppo import PolicyConfig, divergence, entropy
from twosome.algorithms.rollout import Batch, act
from twosome.config import typed
from twosome.decision import Decision
from twosome.errors import UserError


@dataclass
class Played:
    """The part of an episode that has been played; the lists have an entry per decision.

    start: the number of the start that it shares with others (`EnvRunner.starts`). choices, logprobs: the actions taken and their
    log-probabilities then. rewards: of each decision, discounted inside it. durations: primitive steps.
    """

    start: int
    decisions: list[Decision] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)

    def returns(self, gamma: float) -> list[float]:
        """Return what followed each decision, discounted per primitive step from it on; the first is the episode's return."""
        found, following = [], 0.0
        for reward, duration in zip(reversed(self.rewards), reversed(self.durations), strict=True):
            following = reward + gamma**duration * following
            found.append(following)
        return found[::-1]

    def state(self) -> dict[str, Any]:
        """Return plain values and tensors, without what learning agents must not read (`Decision`)."""
        decisions = [
            [torch.from_numpy(each.obs.copy()), each.prompt, list(each.action_ids), list(each.action_prompts)]
            for each in self.decisions
        ]
        return {**vars(self), "decisions": decisions}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "Played":
        """Return the episode of a state."""
        decisions = [
            Decision(np.array(obs.numpy()), prompt, tuple(ids), tuple(words)) for obs, prompt, ids, words in state["decisions"]
        ]
        return cls(**{**state, "decisions": decisions})


@dataclass(frozen=True)
class EpisodeBatch(Batch):
    """The decisions of whole episodes, one after the other. values are 0; returns: of the decision's episode, from its start."""

    episodes: int


class Episodic(Algorithm):
    """An algorithm without a critic that learns from whole episodes, with the agent's policy only.

    A rollout is num_steps decisions of each environment, as PPO's. An episode that has not ended at its end goes on in the next
    one, and is learned from as a whole once it has ended. So every decision of a run is learned from once, the last rollout's
    unfinished episodes apart, and long episodes count as often as they occur: to learn from the episodes that end in the rollout
    in which they began would prefer short ones. The price is that the first decisions of such an episode were chosen by an older
    policy. A time limit ends an episode as a terminal state does, since no critic values what would follow.

    running: the unfinished episode of each environment. ended: the finished ones that wait to be learned from.
    """

    progress_metrics = ("entropy",)

    def __init__(self, config: PolicyConfig) -> None:
        self.config, self.num_envs, self.batch_size = config, config.num_envs, config.batch_size
        self.running: list[Played] = []
        self.ended: list[Played] = []

    def check(self, agent: LearningAgent) -> None:
        """See Algorithm."""
        name = type(self).__name__
        if agent.joint_values:
            raise UserError(f"value_head: it learns together with the policy, and {name} has no critic; choose value_head=frozen")
        self.config.check(agent)

    def optimizers(self, agent: LearningAgent) -> list[Optimizer]:
        """Return AdamW without decay on the policy, as PPO's."""
        config = self.config
        return [AdamW(agent.parameter_groups()["policy"], config.learning_rate, eps=config.adam_eps, weight_decay=0.0)]

    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> EpisodeBatch:
        """Act for num_steps decisions in every environment; return the episodes that are learned from now."""
        for _ in range(self.config.num_steps):
            starts = runner.starts
            decisions, choices, logprobs, step = act(agent, runner, generator)
            self.running = self.running or [Played(start) for start in starts]
            for env, (decision, choice, logprob) in enumerate(zip(decisions, choices.tolist(), logprobs.tolist(), strict=True)):
                played = self.running[env]
                played.decisions.append(decision)
                played.choices.append(choice)
                played.logprobs.append(logprob)
                played.rewards.append(float(step.rewards[env]))
                played.durations.append(int(step.durations[env]))
                if env in step.final:
                    self.ended.append(played)
                    self.running[env] = Played(runner.starts[env])
        return self.take(agent)

    @abstractmethod
    def take(self, agent: LearningAgent) -> EpisodeBatch:
        """Remove from `ended` the episodes that are learned from now; return them."""

    @abstractmethod
    def learn(
        self, agent: LearningAgent, batch: EpisodeBatch, optimizer: Optimizer, progress: Progress, generator: torch.Generator
    ) -> Metrics:
        """Learn from a batch, which may be empty."""

    def update(
        self,
        agent: LearningAgent,
        batch: EpisodeBatch,
        optimizers: list[Optimizer],
        progress: Progress,
        generator: torch.Generator,
    ) -> Metrics:
        """See Algorithm. The learning rate and, with anneal_ent_coef, the entropy bonus fall over the run."""
        rate = self.config.learning_rate * self.config.lr_factor(progress)
        for group in optimizers[0].param_groups:
            group["lr"] = rate
        learned = self.learn(agent, batch, optimizers[0], progress, generator)
        counts = {"learned_episodes": batch.episodes, "learned_decisions": len(batch.decisions)}
        return learned | counts | {"policy_lr": rate}

    def state_dict(self) -> dict[str, Any]:
        """Return the episodes that have not been learned from."""
        return {name: [played.state() for played in getattr(self, name)] for name in ("running", "ended")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Algorithm."""
        for name in ("running", "ended"):
            setattr(self, name, [Played.of_state(each) for each in state[name]])


def batch_of(episodes: Sequence[Played], advantages: Sequence[float], gamma: float, device: torch.device) -> EpisodeBatch:
    """Return the decisions of episodes, one after the other. advantages: of all their decisions, in this order."""

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    returns = [first for played in episodes for first in [played.returns(gamma)[0]] * len(played.decisions)]
    choices = torch.tensor([choice for played in episodes for choice in played.choices], dtype=torch.long, device=device)
    logprobs = column([logprob for played in episodes for logprob in played.logprobs])
    decisions = [decision for played in episodes for decision in played.decisions]
    return EpisodeBatch(
        decisions, choices, logprobs, column([0.0] * len(decisions)), column(advantages), column(returns), len(episodes)
    )


class Reinforce(Episodic):
    """One step on the episodes that ended in the rollout; a single one waits for another (see Episodic for unfinished ones).

    The estimate is unbiased in the decisions that the current policy made. Those that an episode has from earlier rollouts are
    treated like them, without a weight.

    The loss is a mean over decisions, not over episodes, so that the entropy bonus weighs as PPO's does. norm_adv: advantages are
    divided by their standard deviation over the update's decisions. Both scale the step only.
    """

    def take(self, agent: LearningAgent) -> EpisodeBatch:
        """See Episodic: all episodes that have ended, if there are two or more."""
        taken, self.ended = (self.ended, []) if len(self.ended) > 1 else ([], self.ended)
        gamma = self.config.gamma
        advantages = leave_one_out([played.returns(gamma)[0] for played in taken])
        each = [advantage for played, advantage in zip(taken, advantages, strict=True) for _ in played.decisions]
        return batch_of(taken, each, gamma, agent.parameter_groups()["policy"][0].device)

    def learn(
        self, agent: LearningAgent, batch: EpisodeBatch, optimizer: Optimizer, progress: Progress, generator: torch.Generator
    ) -> Metrics:
        """Take one optimizer step; none where nothing is to be learned."""
        if not batch.episodes:
            names = ("policy_loss", "entropy", *(("base_kl",) if self.config.base_kl_coef else ()))
            return dict.fromkeys(names, float("nan")) | {"grad_norm": 0.0, "policy_steps": 0}
        if self.config.norm_adv:
            batch = replace(batch, advantages=batch.advantages / (batch.advantages.std() + 1e-8))
        found = self.policy_gradient(agent, batch, progress)
        found["grad_norm"] = take_step(optimizer, self.config.max_grad_norm, 1, policy_loss=found["policy_loss"])
        return found | {"policy_steps": 1}

    def policy_gradient(self, agent: LearningAgent, batch: EpisodeBatch, progress: Progress) -> Metrics:
        """Add the gradient of the loss to the parameters' grad; return means over the decisions.

        The loss is -A log pi(a | s) - ent_coef H(pi) + base_kl_coef KL(pi || policy before training).
        """
        config = self.config
        log_base = agent.base_log_policy(batch.decisions) if config.base_kl_coef else None
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=batch.advantages.device))
        for members, found in agent.evaluate(batch.decisions):
            index = torch.tensor(members)
            log_policy = found.log_policy
            named = {
                "policy_loss": -batch.advantages[index] * log_policy.gather(1, batch.choices[index].unsqueeze(1)).squeeze(1),
                "entropy": entropy(log_policy),
            }
            loss = named["policy_loss"] - config.ent_coef_at(progress) * named["entropy"]
            if log_base is not None:
                named["base_kl"] = divergence(log_policy, log_base[index, : log_policy.shape[1]])
                loss = loss + config.base_kl_coef_at(progress) * named["base_kl"]
            (loss.sum() / len(batch.decisions)).backward()
            for name, term in named.items():
                sums[name] = sums[name] + term.detach().sum()
        return {name: float(total / len(batch.decisions)) for name, total in sums.items()}


def leave_one_out(returns: list[float]) -> list[float]:
    """Return each return minus the mean of the others. returns: of two episodes or more, or none."""
    total = sum(returns)
    return [each - (total - each) / (len(returns) - 1) for each in returns]


def build(**options: Any) -> Reinforce:
    """Build the algorithm of conf/algorithm/reinforce.yaml. options: as in PolicyConfig. Raises UserError."""
    return Reinforce(typed(PolicyConfig, OmegaConf.create(options), "algorithm"))
