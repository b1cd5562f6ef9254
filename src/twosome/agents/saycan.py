"""SayCan (Ahn et al. 2022): the language model's policy times the affordances of the actions.

An affordance is how likely an action is to succeed where it is chosen (p(c_pi | s, l_pi) in section 3). To add one, write a
builder anywhere, from an `AgentContext` to an `Affordance`, and a YAML in conf/affordance that names it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot
from torch.nn.utils.rnn import pad_sequence

from twosome import generators, seeding
from twosome.agents.agent import Agent, AgentContext, load_weights, save_weights
from twosome.agents.heads import check_hidden_sizes, mlp
from twosome.agents.language import POLICIES
from twosome.config import typed
from twosome.decision import Decision, DecisionText
from twosome.envs.check import spaces
from twosome.envs.vector import Player
from twosome.errors import UserError, check, check_choice
from twosome.language.engine import MASKED, Engine
from twosome.language.tuning import Frozen
from twosome.lru_cache import LRUCache

SUCCESSES = ("change", "goal")
HELD_OUT = 0.2  # of the episodes


class Affordance(nn.Module, ABC):
    """A model of the success probability of each admissible action. Its state_dict holds what it has learned."""

    @abstractmethod
    def forward(self, decisions: Sequence[Decision]) -> Tensor:
        """Return success probabilities, (n, A), on the CPU, in the order of each decision's actions.

        A is the largest number of actions of a decision. The values of padding slots are ignored.
        """

    def prepare(self) -> None:
        """Learn the probabilities if they are learned. The result depends on the run's seed only."""

    def provenance(self) -> dict[str, Any]:
        """Return the affordance's entries of provenance.json."""
        return {}


class Certain(Affordance):
    """The constant 1: every action is assumed to succeed."""

    def forward(self, decisions: Sequence[Decision]) -> Tensor:
        """See Affordance."""
        return torch.ones(len(decisions), max(len(decision.action_ids) for decision in decisions))


class Oracle(Affordance):
    """The affordances that the environment itself gives."""

    def forward(self, decisions: Sequence[Decision]) -> Tensor:
        """See Affordance. Raises UserError if the environment does not give a probability for each action."""
        for decision in decisions:
            given = decision.affordances
            if given is None or len(given) != len(decision.action_ids) or not all(0 <= each <= 1 for each in given):
                found = f"affordance=oracle: the environment's info['affordances'] is {given}"
                raise UserError(f"{found}, expected a number from 0 to 1 for each of {len(decision.action_ids)} actions")
        return pad_sequence([torch.tensor(decision.affordances) for decision in decisions], batch_first=True)


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
        check_choice("affordance.success", self.success, SUCCESSES)
        for name, least in (("episodes", 2), ("epochs", 1), ("batch_size", 1)):
            value = getattr(self, name)
            check(value >= least, f"affordance.{name}", value, f"an integer from {least} on")
        check(self.learning_rate > 0, "affordance.learning_rate", self.learning_rate, "a number above 0")
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
    """P(success | observation, action) by an MLP on the standardised observation and the one-hot action.

    SayCan uses the value functions of its skills as affordances: with a reward of 1 for a skill's success and 0 otherwise, a
    skill's value is the probability that it will succeed (section 3). Here the skills are given and last one decision each. The
    value is a one-step prediction, learned by regression from random play. In SayCan, people or a simulator judge whether a skill
    succeeded. Here success is computed from observations or the goal: see conf/affordance/value.yaml.
    """

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


class SayCanAgent(Agent):
    """The frozen language model's policy times the affordances, renormalised.

    p(c|i, s, l) is proportional to p(c_pi|s, l_pi) p(l_pi|i) (Ahn et al. 2022, section 3). If every affordance of a decision is
    0, the language model's policy alone is used. The agent does not learn in the training loop.
    """

    def __init__(self, engine: Engine, affordance: Affordance) -> None:
        super().__init__()
        self.engine, self.affordance = engine, affordance
        self.export_folder = "affordance" if affordance.state_dict() else None
        self._policies: LRUCache[DecisionText, Tensor] = LRUCache(POLICIES)

    @torch.no_grad()
    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent."""
        said = self._language(decisions)
        can = self.affordance(decisions).to(said)
        own = said > MASKED / 2
        possible = own & (can > 0)
        product = torch.where(possible, said + can.clamp(min=torch.finfo(can.dtype).tiny).log(), MASKED)
        return torch.log_softmax(torch.where(possible.any(dim=1, keepdim=True), product, said), dim=1)

    def _language(self, decisions: Sequence[Decision]) -> Tensor:
        """Return the language model's log-policies, (n, A); each distinct decision is scored once."""
        texts = [decision.text for decision in decisions]
        policies = self._policies.of(texts, self._score)
        return pad_sequence([policies[text] for text in texts], batch_first=True, padding_value=MASKED)

    def _score(self, texts: Sequence[DecisionText]) -> list[Tensor]:
        rows = self.engine.score(texts).log_policy()
        return [row[: len(text[1])].clone() for text, row in zip(texts, rows, strict=True)]

    def prepare(self) -> None:
        """Prepare the affordance; see Agent."""
        self.affordance.prepare()

    def provenance(self) -> dict[str, Any]:
        """Return the language model's name and checksum, and the affordance's entries."""
        model = {"model": self.engine.lm.name, "model_checksum": self.engine.lm.checksum}
        return model | self.affordance.provenance()

    def export(self, folder: Path) -> None:
        """Write the affordance's weights."""
        save_weights(self.affordance, folder)

    def load(self, folder: Path) -> None:
        """See Agent."""
        load_weights(self.affordance, folder)


def build(context: AgentContext, affordance: Callable[[AgentContext], Affordance]) -> SayCanAgent:
    """Build the agent of conf/baseline/saycan.yaml. affordance: builds the affordance.

    The affordance is built first, so that its errors are raised before a model is loaded.
    """
    can = affordance(context)
    return SayCanAgent(context.load_engine(Frozen()), can)


def none(context: AgentContext) -> Certain:
    """Build the affordance of conf/affordance/none.yaml."""
    return Certain()


def oracle(context: AgentContext) -> Oracle:
    """Build the affordance of conf/affordance/oracle.yaml. Raises UserError if the environment gives no affordances."""
    env, affordance = context.make_env(), Oracle()
    affordance([Decision.from_step(*env.reset(seed=context.seed))])
    env.close()
    return affordance


def value(context: AgentContext, **options: Any) -> Value:
    """Build the affordance of conf/affordance/value.yaml. options: those of ValueConfig. Raises UserError."""
    config = typed(ValueConfig, OmegaConf.create(options), "affordance")
    env = context.make_env()
    observations, actions = spaces(env)
    env.close()
    return Value(context, config, math.prod(observations.shape), int(actions.n))
