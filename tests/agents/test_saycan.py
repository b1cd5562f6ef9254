"""SayCan: the product of what the model says and what can be done, and affordances learned from random play."""

import math
from functools import partial
from itertools import product

import gymnasium
import numpy as np
import pytest
import torch
from test_random_and_optimal import Twins, context, decision, overcooked

import oracle
from twosome.agents import saycan
from twosome.agents.agent import sample
from twosome.agents.saycan import SayCanAgent, build
from twosome.errors import UserError
from twosome.language import norms
from twosome.language.loading import load_language_model
from twosome.language.scorer import Scorer

OPTIONS = {"success": "change", "episodes": 400, "epochs": 40, "batch_size": 64, "learning_rate": 3e-3, "hidden_sizes": [32]}


@pytest.fixture(scope="module")
def scorer():
    return Scorer(load_language_model(context(Twins).model), norms.word)


class Switches(gymnasium.Env):
    """Three switches, up (1) or down (0), at random; action i turns switch i up, and turns nothing that is up already. All
    up is the goal; the fourth action never does anything and is only offered at times."""

    observation_space = gymnasium.spaces.Box(0, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.up, self.steps = self.np_random.integers(0, 2, 3) * self.np_random.integers(0, 2), 0
        return self.up.astype(np.float32), self.info()

    def step(self, action):
        self.steps += 1
        self.up = self.up.copy()
        if action < 3:
            self.up[action] = 1
        done = bool(self.up.all())
        return self.up.astype(np.float32), float(done), done, self.steps == 4, self.info(done)

    def info(self, success=False):
        ids = tuple(range(3 + self.steps % 2))
        words = tuple(f"do {action}" for action in ids)
        return {"prompt": "You should first", "action_ids": ids, "action_prompts": words, "duration": 1,
                "primitive_steps": self.steps, "success": success}  # fmt: skip


def learned(seed=0, **options):
    value = saycan.value(context(Switches, seed), **{**OPTIONS, **options})
    value.prepare()
    return value


def at(*switches, actions=(0, 1, 2)):
    return decision(*actions)._replace(obs=np.array(switches, dtype=np.float32))


def test_the_policy_is_the_renormalised_product(scorer):
    known = [(0.25, 1.0, 0.5), (1.0,), (0.0, 0.125)]
    decisions = [decision(*range(len(each)), affordances=each) for each in known]
    log_policy = SayCanAgent(scorer, saycan.Oracle()).log_policy(decisions)
    assert log_policy.isfinite().all()
    said = oracle.score(scorer, [each.text for each in decisions]).log_policy().exp()  # the plain way, row by row
    for row, plain, can in zip(log_policy.exp(), said, known, strict=True):
        weighted = [p * c for p, c in zip(plain.tolist(), can, strict=False)]
        expected = [each / sum(weighted) for each in weighted] + [0.0] * (3 - len(can))
        assert row.tolist() == pytest.approx(expected, abs=1e-5)
    assert sample(log_policy, torch.Generator().manual_seed(0)).tolist()[1:] == [0, 1]


def test_each_distinct_decision_is_scored_once(scorer):
    agent = SayCanAgent(scorer, saycan.Oracle())
    agent.log_policy([decision(0, 1, affordances=(1.0, 0.5))] * 3)
    tokens = scorer.tokens_computed
    agent.log_policy([decision(0, 1, affordances=(0.5, 1.0))])
    assert scorer.tokens_computed == tokens


@pytest.mark.parametrize("known", [None, (1.0,), (1.0, 1.5), (-0.1, 1.0), (math.nan, 1.0)])
def test_the_oracle_needs_probabilities(known):
    with pytest.raises(UserError, match=r"^affordance=oracle: .*, expected a number from 0 to 1 for each of 2 actions"):
        saycan.Oracle()([decision(0, 1, affordances=known)])


def test_an_environment_without_affordances_is_refused_before_a_model_is_loaded(monkeypatch):
    monkeypatch.setattr("twosome.language.gate.load_language_model", None)
    with pytest.raises(UserError, match=r"^affordance=oracle: .*'affordances'\] is None, expected a number"):
        build(context(Switches), saycan.oracle)


def test_the_value_learns_which_actions_change_something():
    value = learned()
    decisions = [at(*switches, actions=(0, 1, 2, 3)) for switches in product((0, 1), repeat=3) if 0 < sum(switches) < 3]
    with torch.no_grad():
        predicted = value(decisions)
    for row, each in zip(predicted, decisions, strict=True):
        assert row.tolist() == pytest.approx([*(1 - each.obs), 0.0], abs=0.15)
    quality = value.provenance()["affordance_quality"]
    assert quality["log_loss"] < 0.1 < quality["base_rate_log_loss"]
    assert quality["accuracy"] > 0.97
    assert quality["auc"] > 0.99


def test_the_value_of_a_goal_is_the_chance_that_random_play_reaches_it():
    value = learned(success="goal", episodes=3_000, epochs=20, batch_size=256)
    with torch.no_grad():
        (shares,) = value([at(1, 1, 0)])
    assert shares[2] == pytest.approx(1.0, abs=0.05)  # at once
    samples = saycan.random_play(context(Switches), saycan.ValueConfig(**{**OPTIONS, "success": "goal", "episodes": 3_000}))
    one_short = (samples.obs == torch.tensor([1.0, 1.0, 0.0])).all(dim=1) & (samples.actions == 0)
    assert shares[0] == pytest.approx(samples.success[one_short].mean().item(), abs=0.08)
    assert 0.1 < shares[0] < 0.9


def test_the_quality_is_that_of_other_episodes():
    value = learned(episodes=10, epochs=1)
    samples = saycan.random_play(value.context, value.config)
    assert samples.episodes.unique().tolist() == list(range(10))
    held_out = samples.part(samples.episodes >= 8)
    with torch.no_grad():
        shares = torch.sigmoid(value.logits(held_out.obs, held_out.actions)).numpy()
    truth = held_out.success.numpy()
    assert value.quality["held_out_decisions"] == len(truth)
    assert value.quality["decisions"] == len(samples.obs) - len(truth)
    assert value.quality["log_loss"] == pytest.approx(-np.mean(np.log(np.where(truth == 1, shares, 1 - shares))), abs=1e-5)
    assert value.quality["accuracy"] == pytest.approx(np.mean((shares > 0.5) == truth))
    rate = truth.mean()
    assert value.quality["base_rate_log_loss"] == pytest.approx(-rate * np.log(rate) - (1 - rate) * np.log(1 - rate), abs=1e-5)


def test_what_was_learned_comes_back(scorer, tmp_path):
    value = learned(episodes=5, epochs=1)
    agent = SayCanAgent(scorer, value)
    assert agent.export_folder == "affordance"
    assert SayCanAgent(scorer, saycan.Certain()).export_folder is None
    agent.export(tmp_path / "affordance")
    fresh = SayCanAgent(scorer, saycan.value(context(Switches, 7), **OPTIONS))
    assert not torch.equal(fresh.log_policy([at(0, 1, 0)]), agent.log_policy([at(0, 1, 0)]))
    fresh.load(tmp_path / "affordance")
    assert torch.equal(fresh.log_policy([at(0, 1, 0)]), agent.log_policy([at(0, 1, 0)]))


def test_images_are_flattened_and_other_spaces_refused():
    class Text(Switches):
        observation_space = gymnasium.spaces.Text(3)

    with pytest.raises(UserError, match=r"its observation_space is Text\(.*\), expected a Box"):
        saycan.value(context(Text), **OPTIONS)
    assert saycan.value(context(partial(overcooked(), task="lettuce_salad")), **OPTIONS).actions == 8
