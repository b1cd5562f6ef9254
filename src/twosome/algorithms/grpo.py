"""GRPO (Shao et al. 2024, arXiv 2402.03300, section 4.1) on episodes, and GiGPO (Feng et al. 2025, arXiv 2505.10978, section 4).

A group holds G episodes from one start. The advantage of all decisions of episode i is its normalised return:

    A_E(i) = (R_i - mean_j R_j) / std_j R_j

R_i is discounted per primitive step from the episode's start. GiGPO adds an advantage of each decision t. Those decisions of the
group's episodes that are in the same situation s are a group of their own, in which the discounted returns from there on are
normalised:

    A_S(i, t) = (G_(i,t) - mean of G in s) / std of G in s,    A(i, t) = A_E(i) + situation_weight A_S(i, t)

The policy's loss is PPO's with these advantages: the clipped ratio to the policy that acted, with base_kl_coef KL(pi || policy
before training) as in GRPO. Two differences: GRPO estimates that KL by a sample, here it is exact; and every decision weighs the
same, where GRPO's equation 3 weighs it by 1 / length of its episode.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from statistics import mean, stdev
from typing import Any

import torch
from omegaconf import OmegaConf
from torch.optim import Optimizer

from twosome.agents.agent import LearningAgent
from twosome.algorithms.algorithm import Metrics, Progress, Sources, require
from twosome.algorithms.ppo import PPO, ClippedConfig, PPOConfig, clipped
from twosome.algorithms.reinforce import EpisodeBatch, Episodic, Played, batch_of
from twosome.config import typed
from twosome.envs.vector import Player
from twosome.errors import UserError

NO_CRITIC: dict[str, Any] = {
    "value_update_epochs": 1, "value_num_minibatches": 1, "value_learning_rate": 1.0, "desired_kl": None, "gae_lambda": 1.0,
    "clip_vloss": False, "pairwise_vloss": False, "count_exponent": 0.0, "value_warmup_updates": 0, "vf_coef": 0.0,
    "bootstrap_truncated": False,
}  # fmt: skip
"""PPO's options that play no part in the update of the policy alone."""


@dataclass(frozen=True)
class GRPOConfig(ClippedConfig):
    """The options of conf/algorithm/grpo.yaml, which says what each means."""

    group_size: int
    situation_weight: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, ("group_size",), lambda value: value >= 2, "2 or more, since returns are compared in a group")
        require(self, ("situation_weight",), lambda value: value >= 0, "0 or more")


class GRPO(Episodic):
    """PPO's policy update with advantages from groups of episodes that begin alike.

    group_size consecutive episodes, in the order in which they begin, start from the same seed, in whatever environments
    (`DecisionEnvs.reset`). A group is learned from when its last episode has ended. All random numbers of the group's episodes
    come from that seed: where an environment draws some during an episode, equal actions meet equal draws. norm_adv=false leaves
    out the division by the standard deviation.
    """

    progress_metrics = ("approx_kl",)
    config: GRPOConfig

    def __init__(self, config: GRPOConfig) -> None:
        super().__init__(config)
        self.group_size = config.group_size
        shared = {each.name: getattr(config, each.name) for each in fields(ClippedConfig)}
        self.ppo = PPO(PPOConfig(**{**shared, **NO_CRITIC, "norm_adv": False}))

    def prepare(self, sources: Sources) -> None:
        """See Algorithm. Raises UserError where the start of an environment depends on its index (env_index)."""
        first = ""
        for number in range(self.num_envs):
            player = Player(sources.make_env(), sources.gamma, number)
            prompt, indexed = player.reset(0).prompt, player.env.has_wrapper_attr("env_index")
            player.close()
            if not indexed:
                return
            first = first or prompt
            if prompt != first:
                raise _unlike(f"environments 0 and {number} start from one seed", first, prompt)

    def take(self, agent: LearningAgent) -> EpisodeBatch:
        """See Episodic: the groups of which all episodes have ended. Raises UserError if a group's episodes start differently."""
        groups: dict[int, list[Played]] = defaultdict(list)
        for played in self.ended:
            groups[played.start].append(played)
        whole = [group for start, group in sorted(groups.items()) if len(group) == self.group_size]
        taken = [played for group in whole for played in group]
        numbers = {played.start for played in taken}
        self.ended = [played for played in self.ended if played.start not in numbers]
        advantages: list[float] = []
        for group in whole:
            self._check_start(agent, group)
            advantages += self.advantages(agent, group)
        batch = batch_of(taken, advantages, self.config.gamma, agent.parameter_groups()["policy"][0].device)
        return replace(batch, advantages=clipped(batch.advantages, self.config.clip_adv))

    def advantages(self, agent: LearningAgent, group: Sequence[Played]) -> list[float]:
        """Return the advantages of all decisions of a group's episodes, one episode after the other."""
        returns = [played.returns(self.config.gamma) for played in group]
        of_episodes = relative([each[0] for each in returns], self.config.norm_adv)
        found = [advantage for advantage, each in zip(of_episodes, returns, strict=True) for _ in each]
        if not self.config.situation_weight:
            return found
        situations: dict[Hashable, list[int]] = defaultdict(list)
        for place, decision in enumerate(decision for played in group for decision in played.decisions):
            situations[agent.decision_key(decision)].append(place)
        following = [each for episode in returns for each in episode]
        for places in situations.values():
            own = relative([following[place] for place in places], self.config.norm_adv)
            for place, advantage in zip(places, own, strict=True):
                found[place] += self.config.situation_weight * advantage
        return found

    def learn(
        self, agent: LearningAgent, batch: EpisodeBatch, optimizer: Optimizer, progress: Progress, generator: torch.Generator
    ) -> Metrics:
        """Take PPO's passes over the batch."""
        if not batch.episodes:
            return self.ppo.no_steps()
        return self.ppo.update_policy(agent, batch, optimizer, progress, generator)

    @staticmethod
    def _check_start(agent: LearningAgent, group: Sequence[Played]) -> None:
        starts = {agent.decision_key(played.decisions[0]): played.decisions[0].prompt for played in group}
        if len(starts) > 1:
            one, other, *_ = starts.values()
            raise _unlike("episodes from one seed start", one, other)


def _unlike(what: str, one: str, other: str) -> UserError:
    """Return the error for episodes that start with these two prompts."""
    differs = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    shown = slice(max(0, differs - 20), differs + 60)
    return UserError(
        f"algorithm=grpo: {what} with {one[shown]!r} and with {other[shown]!r}; expected an environment whose start depends on "
        "the seed alone, not on env_index or on earlier episodes; choose another algorithm or env.task"
    )


def relative(returns: Sequence[float], divided: bool) -> list[float]:
    """Return returns minus their mean, divided by their standard deviation if divided; equal ones, or a single one, become 0."""
    if len(set(returns)) < 2:
        return [0.0] * len(returns)
    center = mean(returns)
    scale = stdev(returns) + 1e-8 if divided else 1.0
    return [(each - center) / scale for each in returns]


def build(**options: Any) -> GRPO:
    """Build the algorithm of conf/algorithm/grpo.yaml. options: as in GRPOConfig. Raises UserError."""
    return GRPO(typed(GRPOConfig, OmegaConf.create(options), "algorithm"))
