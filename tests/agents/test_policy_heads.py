"""Action heads and frozen models: policies against a plain computation, what learns, what is remembered, exported and refused."""

import io

import gymnasium
import numpy as np
import pytest
import torch
from test_language_agent import decision
from test_value_heads import gradients

from twosome.agents import heads
from twosome.agents.agent import AgentContext
from twosome.agents.heads import Actions, Frozen, State, Words
from twosome.agents.language import LanguageAgent, build
from twosome.errors import UserError
from twosome.language import norms
from twosome.language.gate import engine_of
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.tuning import Full, Head, Lora, Tuning

ACTIONS = 5
TABLE = decision("You notice a tomato on the table.", "pick up the tomato", "chop", "serve it")._replace(action_ids=(0, 2, 4))
FEWER = TABLE._replace(action_ids=(3,), action_prompts=("chop",))
KITCHEN = decision("Now you are in the kitchen", "open the microwave", "sit on the sofa")._replace(action_ids=(4, 1))
ALL = [TABLE, KITCHEN, FEWER, TABLE]
FOUR = ("llama", "gpt2", "t5", "bart")


class Room(gymnasium.Env):
    """Its spaces alone are read."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), dtype=np.float32)
    action_space = gymnasium.spaces.Discrete(ACTIONS)


class Smaller(Room):
    """It has fewer actions."""

    action_space = gymnasium.spaces.Discrete(3)


def test_an_action_head_is_not_left_out_and_not_made_up(tmp_path):
    head = Actions(hidden_sizes=[4])
    head.initialise(8, Room, torch.Generator())
    with pytest.raises(UserError, match="policy_head=actions: expected words, since the agent was trained with it"):
        head.load(tmp_path)
    Words().load(tmp_path)
    head.export(tmp_path)
    head.load(tmp_path)
    with pytest.raises(UserError, match="policy_head=words: expected actions, since the agent was trained with it"):
        Words().load(tmp_path)


def agent(tuning: Tuning, architecture: str = "llama", head=None, actions=Room) -> LanguageAgent:
    config = ModelConfig(source="tiny_random", architecture=architecture, device="cpu", packed_weights=False)
    engine, policy_head = engine_of(load_language_model(config, tuning), norms.word), Actions(hidden_sizes=[6])
    policy_head.initialise(engine.hidden_size, actions, torch.Generator().manual_seed(3))
    return LanguageAgent(engine, head or State(hidden_sizes=[8]), torch.Generator().manual_seed(0), policy_head)


@pytest.mark.parametrize("architecture", FOUR)
def test_the_policy_is_the_softmax_of_the_outputs_of_a_decisions_own_actions(architecture: str) -> None:
    language = agent(Full(), architecture)
    found = language.log_policy(ALL).exp()
    for one, row in zip(ALL, found, strict=True):
        state = language.engine.features([one.prompt])[0]
        first, second = language.policy_head.layers[0], language.policy_head.layers[2]
        outputs = second.weight @ torch.sigmoid(first.weight @ state + first.bias) + second.bias
        torch.testing.assert_close(row[: len(one.action_ids)], outputs[list(one.action_ids)].softmax(0))
        assert not row[len(one.action_ids) :].any()
    for members, evaluated in language.evaluate(ALL):
        torch.testing.assert_close(evaluated.log_policy.exp(), found[torch.tensor(members)])


@pytest.mark.parametrize("architecture", FOUR)
@pytest.mark.parametrize("tuning", [Full, Lora, Head])
def test_the_gradient_reaches_what_the_tuning_trains(architecture: str, tuning: type[Tuning]) -> None:
    language = agent(tuning(), architecture)
    if tuning is Lora:
        with torch.no_grad():
            for parameter in language.engine.lm.learned():
                parameter.add_(0.1)
    for _, found in language.evaluate(ALL):
        found.log_policy[:, 0].sum().backward()
    assert all(bool(weight.grad.any()) for weight in language.policy_head.parameters())
    learned = language.engine.lm.learned()
    assert bool(learned) == (tuning is not Head)
    assert not learned or any(weight.grad is not None and bool(weight.grad.any()) for weight in learned)
    assert not any(weight.grad is not None for weight in language.lm.parameters() if not weight.requires_grad)


def test_heads_on_a_frozen_model_compute_a_prompt_once_and_resume_to_the_same_bytes() -> None:
    language = agent(Head())
    assert gradients(language) == {"policy": False, "value": True}  # the loss there has no gradient of the policy
    policy, computed = language.log_policy(ALL), language.engine.tokens_computed
    assert computed > 0
    with torch.no_grad():
        for weight in language.policy_head.parameters():
            weight.add_(0.1)
    assert not torch.allclose(language.log_policy(ALL), policy)
    assert language.engine.tokens_computed == computed
    assert len(language.parameter_groups()["policy"]) == 4
    file = io.BytesIO()
    torch.save(language.state_dict(), file)
    resumed = agent(Head())
    resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert torch.equal(resumed.log_policy([KITCHEN, TABLE]), language.log_policy([KITCHEN, TABLE]))
    assert resumed.engine.tokens_computed == 0


def test_the_model_does_not_read_the_words_but_tells_actions_by_their_numbers() -> None:
    language = agent(Lora())
    other = TABLE._replace(action_prompts=("zebra", "go", "a tall one"))
    assert torch.equal(*language.log_policy([TABLE, other]))
    assert language.decision_key(TABLE) == language.decision_key(other) != language.decision_key(FEWER)
    assert language.sizes([TABLE]) == [len(language.engine.tokenize.prompt(TABLE.prompt))]


@pytest.mark.parametrize("tuning", [Head, Lora, Full])
def test_the_head_is_exported_beside_what_the_model_learned(tuning: type[Tuning], tmp_path) -> None:
    language, other = agent(tuning()), agent(tuning())
    with torch.no_grad():
        for weight in language.parameter_groups()["policy"]:
            weight.add_(0.2)
    folder = tmp_path / language.export_folder
    language.export(folder)
    other.load(folder)
    assert torch.equal(other.log_policy(ALL), language.log_policy(ALL))
    fewer = agent(tuning(), actions=Smaller)
    with pytest.raises(UserError, match=r"action_head\.safetensors: its weights have other names or shapes"):
        fewer.load(folder)


def test_the_builder_makes_what_the_groups_say_and_refuses_what_cannot_learn() -> None:
    def made(tuning: Tuning, **parts) -> LanguageAgent:
        chosen = {"tuning": tuning, "value_head": Frozen(hidden_sizes=[4])} | parts
        model = ModelConfig(source="tiny_random", device="cpu", packed_weights=False)
        return build(AgentContext(Room, model, norms.none, 0, 1.0, chosen))

    assert isinstance(made(Lora()).policy_head, Words)  # as of a run from before there were policy heads
    one, again = (made(Head(), policy_head=Actions(hidden_sizes=[3])).log_policy(ALL) for _ in range(2))
    assert torch.equal(one, again)
    with pytest.raises(UserError, match="policy_head=words: expected actions where nothing of the language model learns"):
        made(Head(), policy_head=Words())
    with pytest.raises(UserError, match=r"policy_head\.hidden_sizes=\[0\]: expected numbers above 0"):
        heads.Actions(hidden_sizes=[0])
