"""Behaviour cloning (Pomerleau 1989) on the decisions of parallel environments."""

from dataclasses import dataclass
from enum import Enum
from math import cos, pi
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.optim import AdamW, Optimizer

from twosome.agents.agent import Agent, LearningAgent, sample
from twosome.agents.bounds import optimal_agent
from twosome.algorithms.algorithm import Algorithm, EnvRunner, Metrics, Progress, Sources, require, require_divisor, take_step
from twosome.algorithms.ppo import entropy, shuffled_minibatches
from twosome.config import typed
from twosome.decision import Decision
from twosome.errors import UserError, check

OPTION = "algorithm.demonstrator"


class Schedule(Enum):
    """How the learning rate falls to 0 over the run, after the warm-up."""

    cosine = "cosine"
    linear = "linear"
    constant = "constant"


@dataclass(frozen=True)
class BCConfig:
    """The options of conf/algorithm/bc.yaml, which says what each means."""

    demonstrator: str
    num_envs: int
    num_steps: int
    update_epochs: int
    num_minibatches: int
    learning_rate: float
    schedule: Schedule
    warmup: float
    weight_decay: float
    adam_eps: float
    max_grad_norm: float

    def __post_init__(self) -> None:
        positive = ("num_envs", "num_steps", "update_epochs", "num_minibatches", "learning_rate", "adam_eps", "max_grad_norm")
        require(self, positive, lambda value: value > 0, "a number above 0")
        require(self, ("warmup",), lambda value: 0 <= value < 1, "a share from 0 to below 1")
        require_divisor(self, "num_minibatches")

    @property
    def batch_size(self) -> int:
        """Samples of an update."""
        return self.num_envs * self.num_steps

    def rate(self, step: int, num_steps: int) -> float:
        """Return the learning rate of an optimizer step, counted from 0, of num_steps of the run."""
        rising = round(self.warmup * num_steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        done = (step - rising) / (num_steps - rising)
        factors = {Schedule.cosine: (1 + cos(pi * done)) / 2, Schedule.linear: 1 - done, Schedule.constant: 1.0}
        return self.learning_rate * factors[self.schedule]


class Demonstrations(NamedTuple):
    """Decisions, and the index of the action that the demonstrator took in each, (samples,)."""

    decisions: list[Decision]
    choices: Tensor


class BC(Algorithm):
    """Behaviour cloning: the demonstrator acts, and each sample is learned from update_epochs times.

    The loss of a sample is the cross entropy of the agent's policy over the decision's actions: -log pi(a | s). (GLAM's is that
    of the action's tokens under the language model, which also teaches it that no other text is likely.)

    The demonstrator is an agent (teacher), whose actions are sampled from its policy, or the environments' own bot, whose plan of
    an episode is asked for when the episode begins (plans: the actions that are left, by environment).
    """

    progress_metrics = ("bc_loss", "accuracy")
    actor = "demonstrator"

    def __init__(self, config: BCConfig) -> None:
        self.config, self.num_envs, self.batch_size = config, config.num_envs, config.batch_size
        self.teacher: Agent | None = None
        self.plans: dict[int, list[int]] = {}

    def prepare(self, sources: Sources) -> None:
        """Make the demonstrator; see Algorithm."""
        name = self.config.demonstrator
        if name == "bot":
            _check_bot(sources)
            return
        by_search = name == "optimal"
        agent = optimal_agent(sources.make_env, sources.gamma, OPTION) if by_search else sources.load_agent(name, OPTION)
        self.teacher = agent.requires_grad_(False).eval()

    def optimizers(self, agent: LearningAgent) -> list[Optimizer]:
        """Return AdamW on the policy."""
        config = self.config
        weights = agent.parameter_groups()["policy"]
        return [AdamW(weights, config.learning_rate, eps=config.adam_eps, weight_decay=config.weight_decay)]

    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> Demonstrations:
        """Return num_steps decisions of the demonstrator in every environment."""
        decisions: list[Decision] = []
        choices: list[int] = []
        if self.teacher is not None:
            self.teacher.begin_rollout()
        elif self.config.demonstrator != "bot":
            raise UserError("algorithm=bc: expected a run, which has demonstrations; there are none here")
        for _ in range(self.config.num_steps):
            here = runner.decisions
            chosen = self._planned(runner) if self.teacher is None else sample(self.teacher.log_policy(here), generator).tolist()
            decisions += here
            choices += chosen
            runner.step(chosen, None if self.teacher is None else self.teacher.remember(here))
        return Demonstrations(decisions, torch.tensor(choices))

    def _planned(self, runner: EnvRunner) -> list[int]:
        """Return the index of the bot's next action in each environment."""
        envs = range(runner.envs.num_envs)
        self.plans |= runner.envs.demonstrations([env for env in envs if not self.plans.get(env)])
        actions = [self.plans[env].pop(0) for env in envs]
        return [decision.action_ids.index(action) for decision, action in zip(runner.decisions, actions, strict=True)]

    def update(
        self,
        agent: LearningAgent,
        batch: Demonstrations,
        optimizers: list[Optimizer],
        progress: Progress,
        generator: torch.Generator,
    ) -> Metrics:
        """See Algorithm."""
        steps: list[Metrics] = []
        number = self.config.update_epochs * self.config.num_minibatches
        for _ in range(self.config.update_epochs):
            for index in shuffled_minibatches(self.batch_size, self.config.num_minibatches, generator):
                rate = self.config.rate(progress.update * number + len(steps), progress.num_updates * number)
                steps.append(self._step(agent, batch, index, optimizers[0], rate, len(steps) + 1))
        means = {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}
        return means | {"policy_steps": len(steps), "policy_lr": rate}

    def _step(
        self, agent: LearningAgent, batch: Demonstrations, index: Tensor, optimizer: Optimizer, rate: float, count: int
    ) -> Metrics:
        """Take an optimizer step on the samples of this index, the count-th of the update."""
        sums = {"bc_loss": 0.0, "accuracy": 0.0, "entropy": 0.0}
        for members, found in agent.evaluate([batch.decisions[number] for number in index.tolist()]):
            choices = batch.choices[index[members]].to(found.log_policy.device)
            loss = -found.log_policy.gather(1, choices[:, None]).sum() / len(index)
            loss.backward()
            policy = found.log_policy.detach()
            sums["bc_loss"] += float(loss.detach())
            sums["accuracy"] += float((policy.argmax(dim=1) == choices).sum()) / len(index)
            sums["entropy"] += float(entropy(policy).sum()) / len(index)
        for group in optimizer.param_groups:
            group["lr"] = rate
        return sums | {"grad_norm": take_step(optimizer, self.config.max_grad_norm, count, **sums)}

    def state_dict(self) -> dict[str, Any]:
        """Return the bot's plans and the teacher's caches, on which the last bits of its policy depend."""
        return {"plans": self.plans, "teacher": {} if self.teacher is None else self.teacher.get_extra_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Algorithm."""
        self.plans = {env: list(plan) for env, plan in state["plans"].items()}
        if self.teacher is not None:
            self.teacher.set_extra_state(state["teacher"])


def _check_bot(sources: Sources) -> None:
    """Raise UserError if the environment has no bot, or its bot cannot do a mission."""
    env = sources.make_env()
    expected = "optimal or the folder of a finished run, since the environment has no bot (method demonstration)"
    check(env.has_wrapper_attr("demonstration"), OPTION, "bot", expected)
    env.reset(seed=0)
    env.get_wrapper_attr("demonstration")()
    env.close()


def build(**options: Any) -> BC:
    """Build the algorithm of conf/algorithm/bc.yaml. options: as in BCConfig. Raises UserError."""
    return BC(typed(BCConfig, OmegaConf.create(options), "algorithm"))
