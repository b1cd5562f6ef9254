"""Behaviour cloning on the decisions of parallel environments."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from twosome.algorithms.algorithm import Algorithm, Metrics, Progress, Sources
from twosome.algorithms.bc.config import BCConfig
from twosome.algorithms.bc.demonstrators import Demonstrator, make
from twosome.algorithms.finite import take_step
from twosome.algorithms.ppo.losses import entropy
from twosome.algorithms.ppo.minibatches import of_samples
from twosome.algorithms.runner import EnvRunner
from twosome.decision import Decision
from twosome.errors import UserError
from twosome.policies.agent import LearningAgent

REMEDY = "algorithm.learning_rate or algorithm.max_grad_norm"


class Demonstrations(NamedTuple):
    """Decisions, and the index of the action that the demonstrator took in each, (samples,)."""

    decisions: list[Decision]
    choices: Tensor


class BC(Algorithm):
    """Behaviour cloning: the demonstrator acts, and each sample is learned from update_epochs times.

    The loss of a sample is the cross entropy of the agent's policy over the decision's actions: -log pi(a | s). (GLAM's is that
    of the action's tokens under the language model, which also teaches it that no other text is likely.)
    """

    shown = ("bc_loss", "accuracy")
    actor = "demonstrator"

    def __init__(self, config: BCConfig) -> None:
        self.config, self.num_envs, self.batch_size = config, config.num_envs, config.batch_size
        self._demonstrator: Demonstrator | None = None

    @property
    def demonstrator(self) -> Demonstrator:
        """Who acts. Raises UserError outside of a run, which alone has one."""
        if self._demonstrator is None:
            raise UserError("algorithm=bc: expected a run, which has demonstrations; there are none here")
        return self._demonstrator

    def prepare(self, sources: Sources) -> None:
        """Make the demonstrator; see Algorithm."""
        self._demonstrator = make(self.config.demonstrator, sources)

    def optimizers(self, agent: LearningAgent) -> list[Optimizer]:
        """AdamW on the policy."""
        config = self.config
        weights = agent.parameter_groups()["policy"]
        return [AdamW(weights, config.learning_rate, eps=config.adam_eps, weight_decay=config.weight_decay)]

    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> Demonstrations:
        """num_steps decisions of the demonstrator in every environment."""
        decisions: list[Decision] = []
        choices: list[int] = []
        self.demonstrator.begin()
        for _ in range(self.config.num_steps):
            here = runner.decisions
            chosen = self.demonstrator.choose(runner, generator)
            decisions += here
            choices += chosen
            runner.step(chosen, self.demonstrator.remember(here))
        return Demonstrations(decisions, torch.tensor(choices))

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
        for _ in range(self.config.update_epochs):
            for index in of_samples(self.batch_size, self.config.num_minibatches, generator):
                done = progress.update * self.config.steps + len(steps)
                rate = self.config.rate(done, progress.num_updates * self.config.steps)
                steps.append(self._step(agent, batch, index, optimizers[0], rate, len(steps) + 1))
        means = {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}
        return means | {"policy_steps": len(steps), "policy_lr": rate}

    def _step(
        self, agent: LearningAgent, batch: Demonstrations, index: Tensor, optimizer: Optimizer, rate: float, count: int
    ) -> Metrics:
        """Take an optimiser step on the samples of this index, the count-th of the update."""
        sums = {"bc_loss": 0.0, "accuracy": 0.0, "entropy": 0.0}
        for members, found in agent.evaluate([batch.decisions[sample] for sample in index.tolist()]):
            choices = batch.choices[index[members]].to(found.log_policy.device)
            loss = -found.log_policy.gather(1, choices[:, None]).sum() / len(index)
            loss.backward()
            policy = found.log_policy.detach()
            sums["bc_loss"] += float(loss.detach())
            sums["accuracy"] += float((policy.argmax(dim=1) == choices).sum()) / len(index)
            sums["entropy"] += float(entropy(policy).sum()) / len(index)
        for group in optimizer.param_groups:
            group["lr"] = rate
        return sums | {"grad_norm": take_step(optimizer, self.config.max_grad_norm, count, REMEDY, **sums)}

    def state_dict(self) -> dict[str, Any]:
        """Return the demonstrator's state."""
        return self.demonstrator.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Algorithm."""
        self.demonstrator.load_state_dict(state)
