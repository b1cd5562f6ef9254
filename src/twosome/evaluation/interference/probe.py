"""One update of an agent, and the actions' log-probabilities before and after it."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.optim import Optimizer

from twosome import generators, seeding
from twosome.algorithms.algorithm import Algorithm, EnvRunner, Metrics, Progress
from twosome.algorithms.ppo import PPO
from twosome.algorithms.rollout import Batch
from twosome.decision import Decision
from twosome.envs.tasks import action_names
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError
from twosome.evaluation.episodes import acting
from twosome.evaluation.interference.config import InterferenceConfig
from twosome.evaluation.interference.situations import Identify, Situations, best_path, by_random_play, distinct
from twosome.policies.agent import LearningAgent, MakeEnv
from twosome.policies.language import LanguageAgent


class Scores(NamedTuple):
    """The log-probabilities of all actions of some decisions, one after the other, (actions,).

    log_policy: the agent's policy. log_prob: of the action's words by the language model; nan for an agent without one.
    """

    log_policy: np.ndarray
    log_prob: np.ndarray


@dataclass(frozen=True)
class Probe:
    """The update of an agent that is measured. It changes the agent's weights.

    gamma: the environment's discount per primitive step. num_updates: of the run, for what falls over it. seed: of all random
    numbers.
    """

    agent: LearningAgent
    algorithm: Algorithm
    make_env: MakeEnv
    gamma: float
    num_updates: int
    seed: int
    config: InterferenceConfig

    def check(self) -> None:
        """Raise UserError where the algorithm and the agent do not fit each other or the options."""
        check_algorithm(self.algorithm, self.config)
        self.algorithm.check(self.agent)
        if self.agent.recurrence > 1:
            raise UserError("suite=interference: expected an agent without memory, such as that of baseline.network=null")
        if self.config.critic_rollouts and self.agent.joint_values:
            raise UserError(
                f"interference.critic_rollouts={self.config.critic_rollouts}: expected 0 where values learn together with the "
                "policy, as with this run's value_head"
            )

    def measure(self) -> tuple[pd.DataFrame, Metrics]:
        """Do the update; return a row for each situation and action (`table`), and the update's metrics."""
        self.check()
        envs = DecisionEnvs(self.make_env, self.algorithm.num_envs, self.gamma)
        seed = int(seeding.stream(self.seed, "interference: environments").generate_state(1)[0])
        runner = EnvRunner(envs, seed, self.algorithm.group_size)
        generator = generators.of_stream(self.seed, "interference: learning")
        optimizers = self.algorithm.optimizers(self.agent)
        self._fit_critic(runner, optimizers, generator)
        batch = self._collect(runner, generator)
        envs.close()
        situations, best = self._situations(batch)
        decisions = list(situations.values())
        before = scores(self.agent, decisions)
        first = self.algorithm.config.value_warmup_updates if isinstance(self.algorithm, PPO) else 0
        progress = Progress(first, max(self.num_updates, first + 1))  # that of the run in which the policy first learns
        self.agent.train()
        metrics = self.algorithm.update(self.agent, batch, optimizers, progress, generator)
        after = scores(self.agent, decisions)
        rows = table(situations, batch, best, self.agent.decision_key, action_names(self.make_env))
        for name in Scores._fields[::-1]:
            rows[f"{name}_before"], rows[f"{name}_after"] = getattr(before, name), getattr(after, name)
        return rows, metrics

    def _fit_critic(self, runner: EnvRunner, optimizers: list[Optimizer], generator: torch.Generator) -> None:
        """Let the critic alone learn from critic_rollouts rollouts."""
        if not self.config.critic_rollouts:
            return
        assert isinstance(self.algorithm, PPO)  # by check_algorithm
        critic_only = type(self.algorithm)(replace(self.algorithm.config, value_warmup_updates=1))
        for _ in range(self.config.critic_rollouts):
            batch = self._collect(runner, generator)
            self.agent.train()
            critic_only.update(self.agent, batch, optimizers, Progress(0, self.num_updates), generator)

    @torch.no_grad()
    def _collect(self, runner: EnvRunner, generator: torch.Generator) -> Batch:
        """Collect a rollout. Raises UserError if the algorithm's is not a Batch."""
        self.agent.eval()
        self.agent.begin_rollout()
        batch: Any = self.algorithm.collect(self.agent, runner, generator)
        if not isinstance(batch, Batch):
            raise UserError(
                f"suite=interference: expected an algorithm that learns from a twosome.algorithms.rollout.Batch; "
                f"{type(self.algorithm).__name__} learns from {type(batch).__name__}"
            )
        return batch

    def _situations(self, batch: Batch) -> tuple[Situations, dict[Hashable, set[int]]]:
        """Return all situations, the rollout's first, and the ids of the best play's actions in those on its path."""
        identify, best = self.agent.decision_key, defaultdict(set)
        found = distinct(batch.decisions, identify)
        path = best_path(self.make_env, self.gamma, self.seed)
        for decision, action in path:
            best[identify(decision)].add(action)
        found |= {key: each for key, each in distinct((each for each, _ in path), identify).items() if key not in found}
        found |= by_random_play(self.make_env, self.gamma, identify, found, self.config.situations, self.seed)
        return found, dict(best)


def check_algorithm(algorithm: Algorithm, config: InterferenceConfig) -> None:
    """Raise UserError if the critic alone is to learn and the algorithm has no updates of that kind."""
    if config.critic_rollouts and not isinstance(algorithm, PPO):
        raise UserError(
            f"interference.critic_rollouts={config.critic_rollouts}: expected 0 with {type(algorithm).__name__}, since only PPO "
            "has updates of the critic alone"
        )


@torch.no_grad()
def scores(agent: LearningAgent, decisions: Sequence[Decision]) -> Scores:
    """Return the log-probabilities of the decisions' actions; the agent's memories stay as they are."""
    with acting(agent):
        log_policy = _own(agent.log_policy(decisions), decisions)
        if not isinstance(agent, LanguageAgent):
            return Scores(log_policy, np.full_like(log_policy, np.nan))
        return Scores(log_policy, _own(agent.engine.score(agent.texts(decisions)).logprobs, decisions))


def _own(values: Tensor, decisions: Sequence[Decision]) -> np.ndarray:
    """Return the values of each decision's own actions, one after the other. values: (n, A), padded."""
    rows = values.to("cpu", torch.float64).numpy()
    return np.concatenate([row[: len(decision.action_ids)] for row, decision in zip(rows, decisions, strict=True)])


def table(
    situations: Situations, batch: Batch, best: dict[Hashable, set[int]], identify: Identify, names: Sequence[str]
) -> pd.DataFrame:
    """Return a row for each situation and action, without log-probabilities; docs/methods.md lists the columns.

    best: the ids of the best play's actions, for the situations on its path. names: of the environment's actions, or none.
    """
    advantages: dict[tuple[Hashable, int], list[float]] = defaultdict(list)
    for decision, choice, advantage in zip(batch.decisions, batch.choices.tolist(), batch.advantages.tolist(), strict=True):
        advantages[identify(decision), choice].append(advantage)
    met = {key for key, _ in advantages}
    return pd.DataFrame(
        {
            "situation": number,
            "prompt": decision.prompt,
            "action": phrase,
            "kind": f"{action} {names[action]}" if names else str(action),
            "in_update": key in met,
            "on_best_path": key in best,
            "best_action": action in best.get(key, ()),
            "samples": len(taken := advantages.get((key, choice), [])),
            "advantage": mean(taken) if taken else np.nan,
        }
        for number, (key, decision) in enumerate(situations.items())
        for choice, (action, phrase) in enumerate(zip(decision.action_ids, decision.action_prompts, strict=True))
    )
