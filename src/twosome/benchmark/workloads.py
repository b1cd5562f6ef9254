"""The work that the engine and its opponents are timed on: rollouts of a random policy, and updates on them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from hydra import compose
from omegaconf import OmegaConf

from twosome.algorithms.ppo.config import PPOConfig
from twosome.algorithms.ppo.update import update_critic, update_policy
from twosome.algorithms.rollout import Batch
from twosome.benchmark.config import BenchmarkConfig
from twosome.config import typed
from twosome.decision import Decision, DecisionText
from twosome.envs.vector import DecisionEnvs
from twosome.policies.context import MakeEnv
from twosome.policies.language import LanguageAgent


@dataclass(frozen=True)
class Workload:
    """Work that can be done repeatedly.

    source: the task, or the name of the synthetic prompts. name: one of config.WORKS. steps: a rollout's decisions by step.
    batch: the samples of an update; None for a rollout. ppo: the update's settings. memories: the agent's at the beginning.
    met: the decisions that the run has met before, whose lower layers the engine has in its cache.
    adapter: the size of LoRA's B matrices: 0 before the first update of a run.
    """

    source: str
    name: str
    steps: list[list[Decision]]
    batch: Batch | None
    ppo: PPOConfig
    memories: dict[str, Any]
    met: list[DecisionText]
    adapter: float
    seed: int

    @property
    def decisions(self) -> list[Decision]:
        """All decisions, duplicates included."""
        return [decision for step in self.steps for decision in step]

    @property
    def distinct(self) -> list[DecisionText]:
        """The distinct decisions."""
        return _texts(self.steps)

    def passes(self) -> list[list[DecisionText]]:
        """Return the distinct decisions by pass (limit.py).

        In a first rollout, a step's decisions are known after the step before it. Those of a later rollout may have been met
        in an earlier one, so all could be computed in one pass.
        """
        if self.name != "first_rollout":
            return [self.distinct]
        known: set[DecisionText] = set()
        steps = []
        for step in self.steps:
            steps.append([text for text in dict.fromkeys(decision.text for decision in step) if text not in known])
            known.update(steps[-1])
        return steps

    def do(self, agent: LanguageAgent, remember: bool = True) -> None:
        """Do the work with an agent. remember: whether a rollout keeps the policies of decisions that it has met."""
        if self.batch is None:
            self._act(agent, remember)
        else:
            self._learn(agent, self.batch)

    def _act(self, agent: LanguageAgent, remember: bool) -> None:
        """Do the model's part of a rollout: policies step by step, values at its end."""
        agent.eval()
        agent.begin_rollout()
        for step in self.steps:
            if not remember:
                agent.set_extra_state(without_decisions(agent.get_extra_state()))
            agent.log_policy(step)
        agent.values(self.decisions)

    def _learn(self, agent: LanguageAgent, batch: Batch) -> None:
        """Take one optimiser step of the policy, and the critic's, with a learning rate of 0."""
        groups = agent.parameter_groups()
        generator = torch.Generator().manual_seed(self.seed)
        update_policy(agent, batch, self.ppo, torch.optim.AdamW(groups["policy"], lr=0.0), generator)
        update_critic(agent, batch, self.ppo, torch.optim.Adam(groups["value"], lr=0.0), generator)


def workloads(
    source: str, make_env: MakeEnv, agent: LanguageAgent, fresh: dict[str, Any], options: BenchmarkConfig, steps: int
) -> Iterator[Workload]:
    """Yield the workloads of a source, each with the agent's memories and adapter that it begins with.

    fresh: the memories of a new agent. steps: of a rollout.

    first_rollout: the first of a run. later_rollout: after two other rollouts of the same random policy and updates, as in
    training. update: one pass over the samples of that rollout as one minibatch.
    """
    ppo = one_pass(options.num_envs, steps)
    sample = random_rollout(make_env, options.num_envs, steps, options.seed)
    met: list[DecisionText] = []

    def workload(name: str, memories: dict[str, Any], adapter: float, batch: Batch | None = None) -> Workload:
        return Workload(source, name, sample, batch, ppo, memories, list(met), adapter, options.seed)

    if "first_rollout" in options.works:
        yield workload("first_rollout", fresh, 0.0)
    set_adapter(agent, 0.0, options.seed)
    agent.set_extra_state(fresh)
    earlier = range(options.seed + 1, options.seed + 3) if "later_rollout" in options.works else ()
    for seed in earlier:
        rollout = random_rollout(make_env, options.num_envs, steps, seed)
        Workload(source, "", rollout, None, ppo, fresh, [], 0.0, options.seed).do(agent)
        met += _texts(rollout)
        set_adapter(agent, 1e-3, options.seed)
    if "later_rollout" in options.works:
        yield workload("later_rollout", agent.get_extra_state(), 1e-3)
    if "update" in options.works:
        set_adapter(agent, 1e-3, options.seed)
        met += _texts(sample)
        batch = samples(agent, [decision for step in sample for decision in step], options.seed)
        yield workload("update", agent.get_extra_state(), 1e-3, batch)


def _texts(steps: Sequence[Sequence[Decision]]) -> list[DecisionText]:
    """Return the distinct decisions of a rollout."""
    return list(dict.fromkeys(decision.text for step in steps for decision in step))


def one_pass(num_envs: int, num_steps: int) -> PPOConfig:
    """Return the settings of an update of one optimiser step, without a limit of the KL."""
    given = {"num_envs": num_envs, "num_steps": num_steps, "num_minibatches": 1, "value_update_epochs": 1, "target_kl": "null",
             "minibatch": "samples", "count_exponent": 0, "norm_adv": True, "base_kl_coef": 0, "ent_coef": 0.2}  # fmt: skip
    options = compose("config", [f"algorithm.{name}={value}" for name, value in given.items()]).algorithm
    return typed(PPOConfig, OmegaConf.masked_copy(options, [name for name in options if name != "_target_"]), "algorithm")


def random_rollout(make_env: MakeEnv, num_envs: int, num_steps: int, seed: int) -> list[list[Decision]]:
    """Return the decisions of a rollout of a uniformly random policy, by step."""
    envs, choose, steps = DecisionEnvs(make_env, num_envs), random.Random(seed), []
    decisions = envs.reset(seed)
    for _ in range(num_steps):
        steps.append(decisions)
        decisions = envs.step([choose.choice(decision.action_ids) for decision in decisions]).decisions
    envs.close()
    return steps


def samples(agent: LanguageAgent, decisions: Sequence[Decision], seed: int) -> Batch:
    """Return samples for an update: random choices with the policy's log-probabilities, and random advantages."""
    generator = torch.Generator().manual_seed(seed)
    log_policy = agent.log_policy(decisions)
    sizes = torch.tensor([len(decision.action_ids) for decision in decisions])
    choices = (torch.rand(len(decisions), generator=generator) * sizes).long()
    values = agent.values(decisions)
    noise = torch.randn(2, len(decisions), generator=generator).to(values.device)
    logprobs = log_policy.gather(1, choices[:, None].to(log_policy.device))[:, 0]
    return Batch(list(decisions), choices.to(values.device), logprobs, values, noise[0], values + noise[1])


def set_adapter(agent: LanguageAgent, size: float, seed: int) -> None:
    """Set LoRA's B matrices to random values times size: 0 as before the first update of a run, small as after it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in agent.lm.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)


def without_decisions(memories: dict[str, Any]) -> dict[str, Any]:
    """Return an agent's memories without the decisions that it has met; the critic's features, which never change, are kept."""
    return memories | {"decisions": [], "again": None}
