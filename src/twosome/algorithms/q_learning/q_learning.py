"""Q-learning on the decisions of parallel environments, with a replay buffer and without a target network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss
from torch.optim import Adam, Optimizer

from twosome.algorithms.algorithm import Algorithm, Metrics, Progress
from twosome.algorithms.finite import take_step
from twosome.algorithms.q_learning.config import QLearningConfig
from twosome.algorithms.q_learning.replay import Replay, Transition
from twosome.algorithms.runner import EnvRunner
from twosome.decision import Decision, DecisionText
from twosome.envs.vector import Step
from twosome.errors import UserError
from twosome.policies.agent import LearningAgent, sample

REMEDY = "algorithm.learning_rate or algorithm.max_grad_norm"
NOTHING = np.zeros(0, dtype=np.float32)


class QLearning(Algorithm):
    """Q-learning (Watkins & Dayan 1992) from replayed transitions, on the values of actions that the agent gives.

    The target of Q(s, a) is r + gamma^duration max Q(s', a'), or r if s' is terminal; an episode cut by the step limit counts on.
    The loss is smooth L1. The agent acts by its own policy. It has to read texts, since these are what the buffer holds.
    """

    shown = ("q_loss",)

    def __init__(self, config: QLearningConfig) -> None:
        self.config, self.num_envs, self.batch_size = config, config.num_envs, config.batch_size
        self.replay = Replay(config.replay_mb * 1e6)

    def check(self, agent: LearningAgent) -> None:
        """See Algorithm."""
        if not agent.has_action_values:
            raise UserError(
                f"algorithm=q_learning: expected an agent with values of actions, {type(agent).__name__} has none; "
                "choose baseline=drrn, or another algorithm"
            )

    def optimizers(self, agent: LearningAgent) -> list[Optimizer]:
        """Adam."""
        return [Adam(agent.parameter_groups()["policy"], self.config.learning_rate, eps=self.config.adam_eps)]

    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> list[Transition]:
        """num_steps decisions in every environment, with actions sampled from the agent's policy."""
        found: list[Transition] = []
        for _ in range(self.config.num_steps):
            decisions = runner.decisions
            choices = sample(agent.log_policy(decisions), generator).tolist()
            step = runner.step(choices)
            found += transitions(decisions, choices, step)
        return found

    def update(
        self,
        agent: LearningAgent,
        batch: list[Transition],
        optimizers: list[Optimizer],
        progress: Progress,
        generator: torch.Generator,
    ) -> Metrics:
        """Add the new transitions to the buffer, and take an optimiser step for each transitions_per_step of them."""
        for transition in batch:
            self.replay.add(transition)
        number = self.batch_size // self.config.transitions_per_step
        steps = [self._step(agent, optimizers[0], generator, count + 1) for count in range(number)]
        means = {name: sum(step[name] for step in steps) / number for name in steps[0]}
        return means | {"policy_steps": number, "replay_size": len(self.replay), "replay_mb": self.replay.size / 1e6}

    def _step(self, agent: LearningAgent, optimizer: Optimizer, generator: torch.Generator, count: int) -> Metrics:
        """Take an optimiser step, the count-th of the update."""
        drawn = self.replay.sample(self.config.minibatch_size, generator)
        targets, sums = self.targets(agent, drawn), {"q_loss": 0.0, "q_mean": 0.0}
        for members, found in agent.evaluate([decision(each.text) for each in drawn]):
            assert found.action_values is not None  # by check
            choices = torch.tensor([drawn[index].choice for index in members], device=targets.device)
            taken = found.action_values.gather(1, choices[:, None]).squeeze(1)
            loss = smooth_l1_loss(taken, targets[members], reduction="sum") / len(drawn)
            loss.backward()
            sums["q_loss"] += float(loss.detach())
            sums["q_mean"] += float(taken.detach().sum()) / len(drawn)
        return sums | {"grad_norm": take_step(optimizer, self.config.max_grad_norm, count, REMEDY, **sums)}

    @torch.no_grad()
    def targets(self, agent: LearningAgent, drawn: Sequence[Transition]) -> Tensor:
        """Return the target of each transition's Q, (n,)."""
        rewards = torch.tensor([each.reward for each in drawn])
        going_on = [(index, each.following) for index, each in enumerate(drawn) if each.following is not None]
        best = torch.zeros(len(drawn))
        for members, found in agent.evaluate([decision(text) for _, text in going_on]) if going_on else ():
            assert found.action_values is not None  # by check
            best[[going_on[index][0] for index in members]] = found.action_values.amax(dim=1).cpu()
        discounts = self.config.gamma ** torch.tensor([each.duration for each in drawn])
        return (rewards + discounts * best).to(agent.parameter_groups()["policy"][0].device)

    def state_dict(self) -> dict[str, Any]:
        """Return the replay buffer."""
        return self.replay.state()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Algorithm."""
        self.replay.restore(state)


def transitions(decisions: Sequence[Decision], choices: Sequence[int], step: Step) -> list[Transition]:
    """Return a transition for each environment."""
    following: list[DecisionText | None] = [each.text for each in step.decisions]
    for env, final in step.final.items():
        following[env] = None if step.terminated[env] else final.text
    every = zip(decisions, choices, step.rewards.tolist(), step.durations.tolist(), following, strict=True)
    return [Transition(one.text, choice, reward, duration, then) for one, choice, reward, duration, then in every]


def decision(text: DecisionText) -> Decision:
    """Return a decision of this text and nothing else."""
    prompt, actions = text
    return Decision(NOTHING, prompt, tuple(range(len(actions))), actions)
