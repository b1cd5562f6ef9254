"""affordance=value: a network that learns each action's probability of success from random play.

SayCan uses the value functions of its skills as affordances: with a reward of 1 for a skill's success and 0 otherwise,
a skill's value is the probability that it will succeed (Ahn et al. 2022, section 3). Here the skills are given and last one
decision each. The value is therefore a one-step prediction, learned by regression and not by temporal differences. In SayCan,
people or a simulator judge whether a skill succeeded. Here success is computed from observations or the goal: see ``success``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot
from torch.nn.utils.rnn import pad_sequence

from twosome import generators, seeding
from twosome.config import typed
from twosome.decision import Decision
from twosome.envs.check import spaces
from twosome.envs.vector import Player
from twosome.errors import UserError, unknown_choice
from twosome.policies.affordances import Affordance
from twosome.policies.context import AgentContext
from twosome.policies.networks import check_hidden_sizes, mlp

SUCCESSES = ("change", "goal")
HELD_OUT = 0.2  # of the episodes


@dataclass
class ValueConfig:
    """The options of conf/affordance/value.yaml."""

    success: str
    episodes: int
    epochs: int
    batch_size: int
    learning_rate: float
    hidden_sizes: list[int]

    def __post_init__(self) -> None:
        if self.success not in SUCCESSES:
            raise unknown_choice("affordance.success", self.success, SUCCESSES)
        for name, least in (("episodes", 2), ("epochs", 1), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise UserError(f"affordance.{name}={getattr(self, name)}: expected an integer from {least} on")
        if not self.learning_rate > 0:
            raise UserError(f"affordance.learning_rate={self.learning_rate}: expected a number above 0")
        check_hidden_sizes("affordance.hidden_sizes", self.hidden_sizes, "[64,64]")


class Experience(NamedTuple):
    """Decisions of random play.

    obs: (n, numbers), observations. actions: (n,), the chosen actions' ids. success: (n,), 0 or 1. episodes: (n,), the index of
    each decision's episode.
    """

    obs: Tensor
    actions: Tensor
    success: Tensor
    episodes: Tensor

    def part(self, rows: Tensor) -> "Experience":
        """Select rows, by a mask or indices."""
        return Experience(*(column[rows] for column in self))


class Value(Affordance):
    """P(success | observation, action) by an MLP on the standardised observation and the one-hot action."""

    mean: Tensor
    scale: Tensor

    def __init__(self, context: AgentContext, config: ValueConfig, numbers: int, actions: int) -> None:
        """numbers: the size of an observation. actions: the number of the environment's actions."""
        super().__init__()
        self.context, self.config, self.actions = context, config, actions
        self.generator = generators.of_stream(context.seed, "affordance: learning")
        self.network = mlp(numbers + actions, config.hidden_sizes, self.generator)
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("scale", torch.ones(numbers))
        self.quality: dict[str, Any] = {}

    def forward(self, decisions: Sequence[Decision]) -> Tensor:
        """See Affordance."""
        sizes = [len(decision.action_ids) for decision in decisions]
        obs = torch.from_numpy(np.stack([decision.obs for decision in decisions])).flatten(1)
        actions = torch.tensor([action for decision in decisions for action in decision.action_ids])
        logits = self.logits(obs.repeat_interleave(torch.tensor(sizes), dim=0), actions)
        return pad_sequence(list(torch.sigmoid(logits).split(sizes)), batch_first=True)

    def logits(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Compute the log-odds of success, (n,), of actions (n,) at observations (n, numbers)."""
        inputs = torch.cat([(obs - self.mean) / self.scale, one_hot(actions, self.actions)], dim=1)
        return self.network(inputs).squeeze(1)

    def prepare(self) -> None:
        """Play at random, train on most of the episodes with cross-entropy, and test on the others."""
        experience = random_play(self.context, self.config)
        held_out = experience.episodes >= round((1 - HELD_OUT) * self.config.episodes)
        data = experience.part(~held_out)
        self.mean.copy_(data.obs.mean(dim=0))
        spread = data.obs.std(dim=0, correction=0)
        self.scale.copy_(torch.where(spread > 0, spread, 1.0))
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.config.learning_rate)
        with torch.enable_grad():
            for _ in range(self.config.epochs):
                for rows in torch.randperm(len(data.obs), generator=self.generator).split(self.config.batch_size):
                    batch = data.part(rows)
                    loss = binary_cross_entropy_with_logits(self.logits(batch.obs, batch.actions), batch.success)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
        self.quality = {"decisions": len(data.obs), **self.test(experience.part(held_out))}

    @torch.no_grad()
    def test(self, data: Experience) -> dict[str, Any]:
        """Measure the predictions on held-out data.

        base_rate: the share of successes. log_loss: in nats. base_rate_log_loss: of a constant prediction of the base rate, for
        comparison. auc: None if all decisions have the same outcome.
        """
        logits, base_rate = self.logits(data.obs, data.actions), data.success.mean()
        constant = torch.logit(base_rate, eps=1e-6).expand(len(logits))
        return {
            "held_out_decisions": len(logits),
            "base_rate": base_rate.item(),
            "base_rate_log_loss": binary_cross_entropy_with_logits(constant, data.success).item(),
            "log_loss": binary_cross_entropy_with_logits(logits, data.success).item(),
            "accuracy": ((logits > 0) == (data.success > 0.5)).float().mean().item(),
            "auc": auc(logits.numpy(), data.success.numpy() > 0.5),
        }

    def provenance(self) -> dict[str, Any]:
        """Return the quality of the predictions, once learned; see Affordance."""
        return {"affordance_quality": self.quality} if self.quality else {}


def random_play(context: AgentContext, config: ValueConfig) -> Experience:
    """Play whole episodes in which every admissible action is equally likely."""
    choose = np.random.default_rng(seeding.stream(context.seed, "affordance: actions"))
    obs: list[np.ndarray] = []
    actions: list[int] = []
    success: list[bool] = []
    episodes: list[int] = []
    player = Player(context.make_env(), context.gamma)
    for episode, seed in enumerate(seeding.stream(context.seed, "affordance: environments").generate_state(config.episodes)):
        player.reset(int(seed))
        first = len(obs)
        while not player.ended:
            before = player.decision
            actions.append(int(choose.choice(before.action_ids)))
            after = player.step(actions[-1]).decision
            obs.append(before.obs)
            success.append(not np.array_equal(before.obs, after.obs))
            episodes.append(episode)
        if config.success == "goal":
            success[first:] = [player.episode.success] * (len(obs) - first)
    player.close()
    stacked = torch.from_numpy(np.stack(obs)).flatten(1)
    return Experience(stacked, torch.tensor(actions), torch.tensor(success).float(), torch.tensor(episodes))


def auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Return the area under the ROC curve: the probability that a positive scores higher than a negative, ties counting half.

    It is the Mann-Whitney U statistic over the number of pairs. None if there are no positives or no negatives.
    scores: (n,). positive: (n,), bool.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    some, others = int(positive.sum()), int((~positive).sum())
    if not some or not others:
        return None
    return float((ranks[positive].sum() - some * (some + 1) / 2) / (some * others))


def value(context: AgentContext, **options: Any) -> Value:
    """Build the affordance of conf/affordance/value.yaml. options: those of ValueConfig. Raises UserError."""
    config = typed(ValueConfig, OmegaConf.create(options), "affordance")
    env = context.make_env()
    observations, actions = spaces(env)
    env.close()
    return Value(context, config, math.prod(observations.shape), int(actions.n))
