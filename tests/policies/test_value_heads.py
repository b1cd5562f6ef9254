"""A value head and a tuning of one's own: what GLAM has, values with gradient into a model of which all weights learn."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_language_agent import ALL, FEWER, KITCHEN, TABLE

from twosome.errors import UserError
from twosome.language import norms
from twosome.language.config import ModelConfig
from twosome.language.loading import load_language_model
from twosome.language.lora import Lora
from twosome.language.scorer import Scorer
from twosome.language.tuning import Frozen, Tuning
from twosome.policies import value_heads
from twosome.policies.language import LanguageAgent
from twosome.policies.value_heads import ValueHead


class State(ValueHead):
    """A linear layer on the states of the model as it is."""

    joint = True

    def __init__(self, detached=False):
        super().__init__()
        self.detached = detached

    def initialise(self, hidden_size, generator):
        self.weight = torch.nn.Parameter(torch.randn(hidden_size, generator=generator) / hidden_size)

    def forward(self, states):
        return (states.detach() if self.detached else states) @ self.weight


class Full(Tuning):
    """All weights learn; a copy of them is the reference."""

    export_folder = "model"

    def apply(self, base):
        self.before = {name: weight.clone() for name, weight in base.named_parameters()}
        return base.requires_grad_(True)

    def reference(self, model):
        return torch.nn.utils.stateless._reparametrize_module(model, self.before)

    def is_reference(self, model):
        return all(torch.equal(weight, self.before[name]) for name, weight in model.named_parameters())

    def export(self, model, folder):
        folder.mkdir()
        save_file({name: weight.detach().clone() for name, weight in model.named_parameters()}, folder / "model.safetensors")

    def load(self, model, folder):
        with torch.no_grad():
            for name, weight in load_file(folder / "model.safetensors").items():
                model.get_parameter(name).copy_(weight)


def agent(head, tuning):
    config = ModelConfig(source="tiny_random", device="cpu", packed_weights=False)
    return LanguageAgent(Scorer(load_language_model(config, tuning), norms.word), head, torch.Generator().manual_seed(0))


def gradients(language):
    """One loss of the policy and the values, and which groups it has a gradient in."""
    for members, found in language.evaluate(ALL):
        assert found.values.shape == (len(members),)
        (found.values.sum() + found.log_policy[:, 0].sum() * 0).backward()
    return {
        name: any(parameter.grad is not None and bool(parameter.grad.any()) for parameter in group)
        for name, group in language.parameter_groups().items()
    }


def test_values_of_a_joint_head_reach_the_model_unless_it_detaches_the_states():
    assert gradients(agent(State(), Full())) == {"policy": True, "value": True}
    assert gradients(agent(State(detached=True), Full())) == {"policy": False, "value": True}


def test_joint_values_are_the_same_for_acting_and_for_learning_and_cost_nothing_more():
    language = agent(State(), Full())
    language.log_policy(ALL)
    computed = language.engine.tokens_computed
    values = language.values(ALL)
    assert language.engine.tokens_computed == computed
    for members, found in language.evaluate(ALL):
        torch.testing.assert_close(found.values, values[torch.tensor(members)])
    assert not language.get_extra_state()["features"]  # of the reference: no one has asked for them


def test_remembered_values_are_forgotten_when_a_weight_of_the_head_changes():
    language = agent(State(), Full())
    before = language.values([TABLE])
    with torch.no_grad():
        language.critic.weight.mul_(2)
    torch.testing.assert_close(language.values([TABLE]), 2 * before)


def test_all_weights_learn_and_the_reference_stays(tmp_path):
    language = agent(State(), Full())
    assert len(language.parameter_groups()["policy"]) == len(list(language.lm.parameters()))
    reference, other = language.engine.features(["You see the sofa"]), agent(State(), Full())
    before = language.log_policy([KITCHEN, FEWER])
    optimizer = torch.optim.Adam([parameter for group in language.parameter_groups().values() for parameter in group], 1e-2)
    for _, found in language.evaluate([KITCHEN, FEWER]):
        (found.values.sum() + found.log_policy[:, 0].sum()).backward()
    optimizer.step()
    assert not torch.allclose(language.log_policy([KITCHEN, FEWER]), before)
    torch.testing.assert_close(language.engine.features(["You see the sofa"]), reference)
    language.export(tmp_path / "model")
    other.load(tmp_path / "model")
    torch.testing.assert_close(other.log_policy([KITCHEN, FEWER]), language.log_policy([KITCHEN, FEWER]))


def test_an_agent_of_which_nothing_learns_is_refused():
    with pytest.raises(UserError, match="tuning: nothing of the language model learns"):
        agent(value_heads.Frozen(hidden_sizes=[4]), Frozen())


def test_a_frozen_head_reads_the_reference():
    language = agent(value_heads.Frozen(hidden_sizes=[4]), Lora())
    assert not language.joint_values
    before = language.values([TABLE])
    with torch.no_grad():
        for parameter in language.parameter_groups()["policy"]:
            parameter.add_(0.3)
    language.begin_rollout()
    assert torch.equal(language.values([TABLE]), before)
