"""GLAM's value head and tuning: values with gradient into a model of which all weights learn."""

import pytest
import torch
from test_language_agent import ALL, FEWER, KITCHEN, TABLE
from transformers import AutoModelForCausalLM

from twosome.agents import heads
from twosome.agents.heads import State
from twosome.agents.language import LanguageAgent
from twosome.errors import UserError
from twosome.language import norms
from twosome.language.gate import engine_of
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.tuning import Frozen, Full, Lora


def agent(head, tuning, architecture="llama"):
    config = ModelConfig(source="tiny_random", architecture=architecture, device="cpu", packed_weights=False)
    return LanguageAgent(engine_of(load_language_model(config, tuning), norms.word), head, torch.Generator().manual_seed(0))


def gradients(language):
    """One loss of the policy and the values, and which groups it has a gradient in."""
    for members, found in language.evaluate(ALL):
        assert found.values.shape == (len(members),)
        (found.values.sum() + found.log_policy[:, 0].sum() * 0).backward()
    return {
        name: any(parameter.grad is not None and bool(parameter.grad.any()) for parameter in group)
        for name, group in language.parameter_groups().items()
    }


@pytest.mark.parametrize("architecture", ["llama", "t5", "bart"])
def test_values_of_a_joint_head_reach_the_model_unless_it_detaches_the_states(architecture):
    assert gradients(agent(State(hidden_sizes=[8]), Full(), architecture)) == {"policy": True, "value": True}
    assert gradients(agent(State(hidden_sizes=[8], detached=True), Full(), architecture)) == {"policy": False, "value": True}


def test_joint_values_are_the_same_for_acting_and_for_learning_and_cost_nothing_more():
    language = agent(State(hidden_sizes=[8]), Full())
    language.log_policy(ALL)
    computed = language.engine.tokens_computed
    values = language.values(ALL)
    assert language.engine.tokens_computed == computed
    for members, found in language.evaluate(ALL):
        torch.testing.assert_close(found.values, values[torch.tensor(members)])
    assert not language.get_extra_state()["features"]  # of the reference: no one has asked for them


def test_all_weights_learn_and_the_reference_stays(tmp_path):
    language = agent(State(hidden_sizes=[8]), Full())
    assert len(language.parameter_groups()["policy"]) == len(list(language.lm.parameters()))
    reference, other = language.engine.features(["You see the sofa"]), agent(State(hidden_sizes=[8]), Full())
    before = language.log_policy([KITCHEN, FEWER])
    optimizer = torch.optim.Adam([parameter for group in language.parameter_groups().values() for parameter in group], 1e-2)
    for _, found in language.evaluate([KITCHEN, FEWER]):
        (found.values.sum() + found.log_policy[:, 0].sum()).backward()
    optimizer.step()
    assert not torch.allclose(language.log_policy([KITCHEN, FEWER]), before)
    torch.testing.assert_close(language.engine.features(["You see the sofa"]), reference)
    language.export(tmp_path / "model")
    other.load(tmp_path / "model")
    alone = AutoModelForCausalLM.from_pretrained(tmp_path / "model").state_dict()
    assert all(torch.equal(weight, alone[name]) for name, weight in language.lm.named_parameters())
    torch.testing.assert_close(other.log_policy([KITCHEN, FEWER]), language.log_policy([KITCHEN, FEWER]))


def test_an_agent_of_which_nothing_learns_is_refused():
    with pytest.raises(UserError, match="tuning: nothing of the language model learns"):
        agent(heads.Frozen(hidden_sizes=[4]), Frozen())


def test_a_frozen_head_reads_the_reference():
    language = agent(heads.Frozen(hidden_sizes=[4]), Lora())
    assert not language.joint_values
    before = language.values([TABLE])
    with torch.no_grad():
        for parameter in language.parameter_groups()["policy"]:
            parameter.add_(0.3)
    language.begin_rollout()
    assert torch.equal(language.values([TABLE]), before)


def test_the_reference_is_left_as_it_was_found():
    language = agent(State(hidden_sizes=[8]), Full())
    tuning, model = language.tuning, language.lm
    assert tuning.is_reference(model)
    with torch.no_grad():
        weight = next(model.parameters())
        weight.add_(1)
    assert not tuning.is_reference(model)
    changed = weight.clone()
    with tuning.reference(model):
        assert tuning.is_reference(model)
    assert torch.equal(weight, changed)


def test_layers_of_a_joint_head_are_drawn_as_pytorch_draws_them():
    head = State(hidden_sizes=[64])
    head.initialise(100, torch.Generator().manual_seed(0))
    first, second = head.layers[0], head.layers[2]
    assert isinstance(head.layers[1], torch.nn.Sigmoid)
    for layer, bound in ((first, 0.1), (second, 0.125)):
        for parameter in layer.parameters():
            assert 0 < parameter.abs().max() <= bound
    assert first.weight.abs().max() > 0.099


def test_the_critic_standardises_states_with_what_training_met_first():
    """Values are those of the plain layers on (state - mean) / scale of the first distinct prompts, in every later state too."""
    language = agent(heads.Frozen(hidden_sizes=[4]), Lora())
    head = language.critic
    raw = head.layers(language.features([FEWER, KITCHEN])[0])[:, 0]
    torch.testing.assert_close(language.eval().values([FEWER, KITCHEN]), raw)  # nothing was measured
    first = language.features(ALL)[0]
    deviations = first - first.mean(dim=0)
    expected = head.layers(deviations / deviations.square().mean().sqrt())[:, 0]
    torch.testing.assert_close(language.train().values(ALL), expected[language.features(ALL)[1]])
    torch.testing.assert_close(language.values([KITCHEN, TABLE]), language.values(ALL)[[1, 0]])
    other = heads.Frozen(hidden_sizes=[4])
    other.initialise(len(head.mean), torch.Generator().manual_seed(1))
    other.load_state_dict(head.state_dict())
    torch.testing.assert_close(other(first), head(first))
