"""The language agent: what it remembers, when it forgets, and that remembering changes nothing."""

import io
from typing import Any

import numpy as np
import pytest
import torch

import oracle
from twosome.agents.heads import Frozen
from twosome.agents.language import LanguageAgent
from twosome.decision import Decision
from twosome.language import norms
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.scorer import Scorer
from twosome.language.tuning import Lora


def decision(prompt: str, *actions: str, obs: float = 0.0) -> Decision:
    return Decision(np.array([obs], dtype=np.float32), prompt, tuple(range(len(actions))), actions)


TABLE = decision("You notice a tomato on the table.", "pick up the tomato", "chop", "serve the dish")
SAME = decision("You notice a tomato on the table.", "pick up the tomato", "chop", "serve the dish", obs=1.0)
FEWER = decision("You notice a tomato on the table.", "chop", "go left")
KITCHEN = decision("Now you are in the kitchen", "open the microwave", "sit on the sofa")
SOFA = decision("You see the sofa", "sit on the sofa")
ALL = [TABLE, KITCHEN, SAME, FEWER, SOFA, TABLE]


def agent(architecture: str = "llama", lora: dict[str, Any] | None = None, **engine: int) -> LanguageAgent:
    """An agent whose adapter already differs from the base; the same at every call."""
    config = ModelConfig(source="tiny_random", architecture=architecture, device="cpu")
    language = LanguageAgent(
        Scorer(load_language_model(config, Lora(**lora or {})), norms.token, **engine),
        Frozen(hidden_sizes=[8]),
        torch.Generator(),
    )
    disturb(language, torch.Generator().manual_seed(5))
    return language


@torch.no_grad()
def disturb(language: LanguageAgent, generator: torch.Generator | None = None) -> None:
    for parameter in language.parameter_groups()["policy"]:
        parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def cost(language: LanguageAgent, decisions: list[Decision]) -> int:
    """Tokens that the log-policies of decisions take."""
    before = language.engine.tokens_computed
    language.log_policy(decisions)
    return language.engine.tokens_computed - before


def cost_of_distinct(decisions: list[Decision]) -> int:
    fresh = agent().engine
    fresh.score(list(dict.fromkeys(one.text for one in decisions)))
    return fresh.tokens_computed


def stored(state: dict[str, Any]) -> dict[str, Any]:
    """Through a file and back, as checkpoints are read: without running code."""
    file = io.BytesIO()
    torch.save(state, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=True)


def test_log_policies_are_the_oracles_over_a_decisions_own_actions() -> None:
    language = agent()
    found = language.log_policy(ALL)
    assert not found.requires_grad
    assert found.shape == (len(ALL), 3)
    expected = oracle.score(language.engine, [one.text for one in ALL]).log_policy()
    for one, row, other in zip(ALL, found, expected, strict=True):
        own = len(one.action_prompts)
        torch.testing.assert_close(row[:own], other[:own], atol=1e-4, rtol=0)
        assert row[:own].exp().sum().item() == pytest.approx(1, abs=1e-6)
        assert (row[own:].exp() == 0).all()
        assert (row[own:].exp() * row[own:] == 0).all()


def test_each_distinct_decision_is_scored_once() -> None:
    language = agent()
    assert cost(language, ALL) == cost_of_distinct(ALL) > 0
    assert cost(language, [SOFA, SAME]) == 0
    new = decision("You see the pancake", "take the bowl")
    assert cost(language, [new, TABLE]) == cost_of_distinct([new])


@pytest.mark.parametrize("how", ["optimizer", "load", "rollout"])
def test_policies_are_forgotten_when_the_weights_change(how: str) -> None:
    language = agent()
    before = language.log_policy([TABLE, KITCHEN])
    if how == "optimizer":
        optimizer = torch.optim.SGD(language.parameter_groups()["policy"], lr=1.0)
        language.engine.score([TABLE.text]).scores[0, 0].backward()
        optimizer.step()
    elif how == "load":
        other = agent()
        disturb(other, torch.Generator().manual_seed(6))
        weights = {name: value for name, value in other.state_dict().items() if name != "_extra_state"}
        language.load_state_dict(weights, strict=False)
    else:
        language.begin_rollout()
    # what was met is scored anew together with what is asked for, and then known
    assert cost(language, [SOFA]) == cost_of_distinct([TABLE, KITCHEN, SOFA])
    assert cost(language, [KITCHEN, TABLE, SOFA]) == 0
    after = language.log_policy([TABLE, KITCHEN])
    assert torch.allclose(after, before, atol=1e-4) == (how == "rollout")
    expected = language.engine.score([TABLE.text, KITCHEN.text]).log_policy()
    torch.testing.assert_close(after.exp(), expected.exp(), atol=1e-5, rtol=0)


def numbered(rollout: int, count: int = 6) -> list[Decision]:
    """Decisions that no other rollout has."""
    return [decision(f"You see {rollout} and {number}", "go left", "go right") for number in range(count)]


def test_where_decisions_do_not_recur_none_is_scored_again() -> None:
    language = agent()
    for rollout in range(4):
        language.begin_rollout()
        scored = numbered(rollout) if rollout != 1 else [*numbered(0), *numbered(1)]  # it is not known before the second one
        assert cost(language, numbered(rollout)) == cost_of_distinct(scored)


def test_memories_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = agent()
    monkeypatch.setattr("twosome.agents.language.POLICIES", 4)
    monkeypatch.setattr("twosome.agents.language.FEATURE_BYTES", 3 * 4 * plain.engine.hidden_size)
    language = agent()
    for rollout in range(3):
        many = numbered(rollout)
        torch.testing.assert_close(language.log_policy(many), plain.log_policy(many))
        torch.testing.assert_close(language.values(many), plain.values(many))
    state = language.get_extra_state()
    assert (len(state["decisions"]), len(state["features"])) == (4, 3)
    assert list(state["features"]) == [one.prompt for one in numbered(2)[-3:]]  # the last ones


@pytest.mark.parametrize("engine", [{}, {"row_tokens": 1, "batch_tokens": 1}])
def test_parts_cover_every_sample_once_with_its_policy(engine: dict[str, int]) -> None:
    language = agent(**engine)
    expected = language.log_policy(ALL)
    seen = []
    for indices, (log_policy, *_) in language.evaluate(ALL):
        assert log_policy.requires_grad
        width = log_policy.shape[1]
        torch.testing.assert_close(log_policy.exp(), expected[indices, :width].exp(), atol=1e-5, rtol=0)
        seen.append(indices)
    assert sorted(index for indices in seen for index in indices) == list(range(len(ALL)))
    assert len(seen) == (4 if engine else 1)
    assert language.counters()["distinct_decisions"] == 4
    assert language.counters() == {"distinct_decisions": 0, "model_tokens": 0}


def test_features_come_once_per_prompt_from_the_frozen_model() -> None:
    language = agent()
    features, rows = language.features(ALL)
    prompts = list(dict.fromkeys(one.prompt for one in ALL))
    torch.testing.assert_close(features, oracle.features(language.engine, prompts), atol=1e-4, rtol=0)
    assert [prompts[row] for row in rows] == [one.prompt for one in ALL]
    before = language.engine.tokens_computed
    disturb(language)
    language.begin_rollout()
    again, _ = language.features(ALL[::-1])
    assert language.engine.tokens_computed == before
    assert torch.equal(again.flip(0)[[2, 1, 0]].sort(0).values, features.sort(0).values)
    values = language.values(ALL)
    torch.testing.assert_close(values, language.critic(features)[rows])
    assert not values.requires_grad


def test_features_come_with_the_base_policies_once_these_were_asked_for() -> None:
    language, new = agent(), numbered(0)
    disturb(language)
    base = language.base_log_policy(ALL)
    before = language.engine.tokens_computed
    features, _ = language.features(ALL)
    assert language.engine.tokens_computed == before  # known from the base policies
    prompts = list(dict.fromkeys(one.prompt for one in ALL))
    torch.testing.assert_close(features, oracle.features(language.engine, prompts), atol=1e-4, rtol=0)
    language.warm_cache(new)
    language.features(new)
    assert language.engine.tokens_computed > before
    before = language.engine.tokens_computed
    language.base_log_policy(new)
    assert language.engine.tokens_computed == before  # computed with the features
    resumed = agent()
    resumed.set_extra_state(stored(language.get_extra_state()))
    assert torch.equal(resumed.base_log_policy(ALL), base)
    assert torch.equal(resumed.features(new)[0], language.features(new)[0])


def test_of_ever_new_prompts_only_the_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twosome.agents.language.FEATURE_BYTES", 3 * 4 * agent().engine.hidden_size)
    language, resumed = agent(), agent()
    new = [decision(f"You see {number} plates", "wait") for number in range(4)]
    first, _ = language.features(ALL)  # three prompts
    language.features([TABLE, *new[:2]])
    assert list(language.get_extra_state()["features"]) == [TABLE.prompt, new[0].prompt, new[1].prompt]
    resumed.set_extra_state(stored(language.get_extra_state()))
    for each in (language, resumed):
        features, _ = each.features([new[1], TABLE, *new[2:]])  # more than are remembered
        assert len(features) == 4
        assert list(each.get_extra_state()["features"]) == [TABLE.prompt, new[2].prompt, new[3].prompt]
        torch.testing.assert_close(each.features(ALL)[0], first, atol=1e-5, rtol=0)
    kept = [row.untyped_storage().nbytes() for row in language.get_extra_state()["features"].values()]
    assert kept == [4 * language.engine.hidden_size] * 3  # none holds on to the others of its batch


@pytest.mark.parametrize("whole", [False, True], ids=["extra state", "state dict"])
def test_memories_survive_a_checkpoint(whole: bool) -> None:
    language, resumed = agent(), agent()
    language.log_policy(ALL)
    features, _ = language.features(ALL)
    resumed.log_policy([TABLE])  # what it met before the checkpoint was loaded is forgotten
    if whole:
        disturb(resumed)
        resumed.load_state_dict(stored(language.state_dict()))
    else:
        resumed.set_extra_state(stored(language.get_extra_state()))
    before = resumed.engine.tokens_computed
    assert torch.equal(resumed.features(ALL)[0], features)
    assert resumed.engine.tokens_computed == before  # features are remembered
    language.begin_rollout()
    assert torch.equal(resumed.log_policy([SOFA]), language.log_policy([SOFA]))  # scored beside the same decisions
    assert cost(resumed, ALL) == cost(language, ALL) == 0
    assert resumed.get_extra_state()["decisions"] == language.get_extra_state()["decisions"]


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_training_leaves_the_base_in_eval_mode(architecture: str) -> None:
    language = agent(architecture, lora={"dropout": 0.5})
    expected = language.log_policy(ALL)
    assert language.train() is language
    assert language.training
    assert language.critic.training
    modes = {name: module.training for name, module in language.lm.named_modules()}
    active = {name for name, training in modes.items() if training}
    assert active == {name for name in modes if "lora_dropout" in name}
    assert active
    language.eval()
    language.begin_rollout()
    assert not any(module.training for module in language.modules())
    assert torch.equal(language.log_policy(ALL), expected)
