"""The probe of interference: what is measured, and in which situations."""

import functools
from collections import defaultdict
from dataclasses import replace

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from ppo_options import config
from torch import nn

import twosome.envs  # noqa: F401  (registers the environments)
from twosome.algorithms.algorithm import Algorithm
from twosome.algorithms.ppo import PPO
from twosome.decision import Decision
from twosome.envs.optimum import best_play
from twosome.errors import UserError
from twosome.evaluation.interference import summary
from twosome.evaluation.interference.config import InterferenceConfig
from twosome.evaluation.interference.probe import Probe
from twosome.language import norms
from twosome.language.config import ModelConfig
from twosome.language.loading import load_language_model
from twosome.language.lora import Lora
from twosome.language.scorer import Scorer
from twosome.policies.agent import Evaluation, LearningAgent
from twosome.policies.heads import Frozen
from twosome.policies.language import LanguageAgent

KITCHEN = functools.partial(gymnasium.make, "twosome/Overcooked-v0", task="tomato_salad")
ACTIONS = int(KITCHEN().action_space.n)
CONFIG = config(num_envs=2, num_steps=8, update_epochs=2)


class Line(gymnasium.Env):
    """Ten places in a row; it is not Searchable and names no actions."""

    observation_space = gymnasium.spaces.Box(0, 10, (1,), dtype=np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return self._obs(), self._info(0)

    def step(self, action):
        self.place += 1
        return self._obs(), float(action), self.place == 10, False, self._info(1)

    def _obs(self):
        return np.array([self.place], dtype=np.float32)

    def _info(self, duration):
        words = {"prompt": f"place {self.place}", "action_ids": (0, 1), "action_prompts": ("wait", "go")}
        return {**words, "duration": duration, "primitive_steps": self.place, "success": self.place == 10}


class Recording(PPO):
    """PPO that remembers its last rollout."""

    def collect(self, *rest):
        self.batch = super().collect(*rest)
        return self.batch


class Still(Recording):
    """Changes nothing."""

    def update(self, *rest):
        return {}


class Other(Algorithm):
    """Not PPO; its rollout is no Batch."""

    num_envs, batch_size = 1, 1

    def optimizers(self, agent):
        return []

    def collect(self, agent, runner, generator):
        return 0

    def update(self, *rest):
        return {}


class Tabular(LearningAgent):
    """A logit for each action of each situation, and a value for each situation: nothing is shared."""

    def __init__(self, actions):
        super().__init__()
        self.rows, self.logits = {}, nn.Parameter(torch.zeros(500, actions))
        self.critic = nn.Parameter(torch.zeros(500))

    def _rows(self, decisions):
        return torch.tensor([self.rows.setdefault(self.decision_key(each), len(self.rows)) for each in decisions])

    def log_policy(self, decisions):
        with torch.no_grad():
            return torch.log_softmax(self.logits[self._rows(decisions)], 1)

    def evaluate(self, decisions, choices=None):
        yield list(range(len(decisions))), Evaluation(torch.log_softmax(self.logits[self._rows(decisions)], 1))

    def value_function(self, decisions):
        rows = self._rows(decisions)
        return lambda index: self.critic[rows[index]]

    def parameter_groups(self):
        return {"policy": [self.logits], "value": [self.critic]}


def language_agent(head=None):
    language = load_language_model(ModelConfig(source="tiny_random", device="cpu"), Lora())
    value_head = head or Frozen(hidden_sizes=[16])
    return LanguageAgent(Scorer(language, norms.word), value_head, torch.Generator().manual_seed(1))


def probe(agent, algorithm, make_env=KITCHEN, seed=5, **options):
    given = InterferenceConfig(**{"critic_rollouts": 0, "situations": 20, **options})
    return Probe(agent, algorithm, make_env, 0.99, 4, seed, given)


def decisions(rows):
    """The decisions of rows, for agents that read texts, one for each situation."""
    for _, own in rows.groupby("situation"):
        phrases = tuple(own.action)
        yield Decision(np.zeros(1, np.float32), own.prompt.iloc[0], tuple(range(len(phrases))), phrases)


def test_the_numbers_are_the_agents_own_before_and_after():
    made, unchanged = language_agent(), language_agent()
    rows, _ = probe(made, PPO(CONFIG)).measure()
    each = list(decisions(rows))
    for agent, name in ((unchanged, "before"), (made, "after")):
        policy, scores = agent.log_policy(each), agent.engine.score([decision.text for decision in each]).logprobs.detach()
        assert rows[f"log_policy_{name}"].to_numpy() == pytest.approx(policy.flatten().numpy(), abs=1e-5)
        assert rows[f"log_prob_{name}"].to_numpy() == pytest.approx(scores.flatten().numpy(), abs=1e-4)
    for measure in summary.MEASURES:
        assert summary.changes(rows, measure).abs().min() > 0


def test_samples_and_advantages_are_the_rollouts():
    algorithm = Recording(CONFIG)
    agent = Tabular(ACTIONS)
    rows, metrics = probe(agent, algorithm, critic_rollouts=3).measure()
    batch, taken = algorithm.batch, defaultdict(list)
    assert agent.critic.any()
    assert rows.log_policy_before.to_numpy() == pytest.approx(-np.log(ACTIONS))  # of the warm-up, the critic alone learned
    assert metrics["policy_steps"] == 2
    for decision, choice, advantage in zip(batch.decisions, batch.choices.tolist(), batch.advantages.tolist(), strict=True):
        taken[decision.prompt, decision.action_prompts[choice]].append(advantage)
    found = rows[rows.samples > 0]
    assert rows.samples.sum() == len(batch.decisions) == 16
    assert found.in_update.all()
    assert rows[rows.samples == 0].advantage.isna().all()
    for (prompt, action), own in found.groupby(["prompt", "action"]):
        assert own.samples.sum() == len(taken[prompt, action])
        assert (own.samples * own.advantage).sum() == pytest.approx(sum(taken[prompt, action]), abs=1e-6)
    inside = {(decision.obs.tobytes(), decision.action_ids) for decision in batch.decisions}
    assert rows[rows.in_update].situation.nunique() == len(inside)


def test_where_nothing_is_shared_nothing_changes_outside():
    rows, _ = probe(Tabular(ACTIONS), PPO(CONFIG)).measure()
    changed = summary.changes(rows, "log_policy")
    assert (changed[~rows.in_update] == 0).all()
    assert changed[rows.in_update].abs().min() > 0
    assert summary.carried_over(rows, "log_policy") == 0
    assert rows.log_prob_before.isna().all()
    assert summary.measured(rows) == ["log_policy"]


def test_what_changes_nothing_is_measured_as_nothing():
    rows, _ = probe(language_agent(), Still(CONFIG)).measure()
    for measure in summary.MEASURES:
        assert (summary.changes(rows, measure) == 0).all()
        assert summary.carried_over(rows, measure) is None


def test_the_first_update_of_the_policy_is_the_one_that_is_measured():
    waits = replace(CONFIG, value_warmup_updates=2)
    _, metrics = probe(Tabular(ACTIONS), PPO(waits)).measure()
    assert metrics["policy_steps"] == 2
    assert metrics["policy_lr"] == pytest.approx(1e-2 * (1 - 2 / 4))


def test_the_best_path_is_that_of_the_best_play():
    env = KITCHEN()
    best = best_play(env, 0.99).actions
    rows, _ = probe(Tabular(ACTIONS), PPO(CONFIG), situations=3).measure()
    names, (_, info) = env.unwrapped.action_names, env.reset()
    steps = []
    for action in best:
        steps.append((info["prompt"], f"{action} {names[action]}"))
        *_, info = env.step(action)
    found = rows[rows.best_action]
    assert set(zip(found.prompt, found.kind, strict=True)) == set(steps)
    assert set(rows[rows.on_best_path].prompt) == {prompt for prompt, _ in steps}
    assert (~rows.in_update & ~rows.on_best_path).sum() == 3 * ACTIONS


@pytest.mark.parametrize("limit", [0, 2])
def test_an_environment_without_a_best_play_or_names(limit):
    rows, _ = probe(Tabular(2), PPO(CONFIG), Line, situations=limit).measure()
    assert not rows.on_best_path.any()
    assert set(rows.kind) == {"0", "1"}
    assert summary.situations(rows) == {"in_update": 8, "outside": limit, "on_best_path": 0}


def test_means_by_kind():
    rows = pd.DataFrame(
        [(0, "10 b", True, False, False, -1.0), (1, "10 b", False, True, True, -0.25), (2, "10 b", False, False, False, 0.75),
         (0, "2 a", True, False, False, 0.0), (1, "2 a", False, True, False, 0.5)],
        columns=["situation", "kind", "in_update", "on_best_path", "best_action", "log_policy_after"],
    ).assign(log_policy_before=0.0)  # fmt: skip
    none = {"situations": 0, "mean": None}
    found = summary.by_kind(rows, "log_policy")
    assert list(found) == ["2 a", "10 b"]
    assert found["10 b"] == {
        "in_update": {"situations": 1, "mean": -1.0}, "outside": {"situations": 2, "mean": 0.25},
        "on_best_path": {"situations": 1, "mean": -0.25}, "best_action": {"situations": 1, "mean": -0.25}, "carried_over": -0.25,
    }  # fmt: skip
    assert (found["2 a"]["best_action"], found["2 a"]["carried_over"]) == (none, None)
    assert summary.carried_over(rows, "log_policy") == pytest.approx(0.5 / 0.5)


def joint():
    head = Frozen(hidden_sizes=[16])
    head.joint = True
    return language_agent(head)


@pytest.mark.parametrize(
    ("agent", "algorithm", "rollouts", "said"),
    [
        (lambda: Tabular(ACTIONS), Other(), 1, "interference.critic_rollouts=1: expected 0 with Other, since only PPO"),
        (
            lambda: Tabular(ACTIONS),
            Other(),
            0,
            "expected an algorithm that learns from a twosome.algorithms.rollout.Batch; Other",
        ),
        (joint, PPO(CONFIG), 2, "interference.critic_rollouts=2: expected 0 where values learn together with the policy"),
    ],
)
def test_algorithms_and_agents_that_do_not_fit_are_refused(agent, algorithm, rollouts, said):
    with pytest.raises(UserError, match=said):
        probe(agent(), algorithm, critic_rollouts=rollouts).measure()
