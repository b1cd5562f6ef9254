"""The agent that chooses token by token: its policy, its values, its memories."""

import pytest
import torch
from test_language_agent import KITCHEN, SAME, SOFA, TABLE, cost, decision, disturb, stored

import oracle
from twosome.agents.heads import Frozen, State, ValueHead
from twosome.agents.tokens import TokenAgent, Tokens, among_branches
from twosome.language import norms
from twosome.language.gate import engine_of
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.tuning import Lora

SHARED = decision("Now you are in the hall", "go to the left", "go to the right", "wait", "go back")
EVERY = [TABLE, SHARED, SAME, KITCHEN, SOFA, SHARED]
CHOICES = torch.tensor([0, 1, 2, 0, 0, 3])


def agent(tokens: Tokens = Tokens.branches, head: ValueHead | None = None, architecture: str = "llama") -> TokenAgent:
    config = ModelConfig(source="tiny_random", architecture=architecture, device="cpu")
    engine = engine_of(load_language_model(config, Lora()), norms.word)
    made = TokenAgent(engine, head or Frozen(hidden_sizes=[8]), torch.Generator().manual_seed(0), tokens)
    disturb(made, torch.Generator().manual_seed(5))
    return made


def test_branches_of_a_hand_made_tree() -> None:
    """Three actions: 1 2, 1 3 and 4. A token that nothing competes with has probability 1."""
    nan = float("nan")
    tokens = torch.tensor([[[0.1, 0.2], [0.1, 0.6], [0.3, nan]], [[0.5, 0.5], [nan, nan], [nan, nan]]]).log()
    found = among_branches(tokens, [((1, 2), (1, 3), (4,)), ((1, 2),)]).exp()
    expected = torch.tensor([[[0.25, 0.25], [0.25, 0.75], [0.75, nan]], [[1, 1], [nan, nan], [nan, nan]]])
    torch.testing.assert_close(found, expected, equal_nan=True)
    assert found[0].nan_to_num(1).prod(dim=1).sum().item() == pytest.approx(1)


def test_an_action_ends_where_the_model_does_not_go_on_as_another_one_does() -> None:
    """Actions 1, 1 2, 1 3, 4 and 4 again."""
    nan = float("nan")
    tokens = torch.tensor([[[0.4, nan], [0.4, 0.3], [0.4, 0.1], [0.1, nan], [0.1, nan]]]).log().requires_grad_()
    found = among_branches(tokens, [((1,), (1, 2), (1, 3), (4,), (4,))])
    expected = torch.tensor([[[0.8 * 0.6, nan], [0.8, 0.3], [0.8, 0.1], [0.1, nan], [0.1, nan]]])
    torch.testing.assert_close(found.exp(), expected, equal_nan=True)
    found.nan_to_num(0.0).sum(dim=2).exp().sum().backward()  # the sum of all actions' probabilities is 1, whatever the tokens'
    assert tokens.grad is not None
    per_token = [tokens.grad[0, :3, 0].sum(), tokens.grad[0, 3:, 0].sum(), *tokens.grad[0, 1:3, 1]]  # 1, 4, 2 and 3
    torch.testing.assert_close(torch.stack(per_token), torch.zeros(4), atol=1e-6, rtol=0)


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_the_policy_over_actions_is_the_product_over_tokens(architecture: str) -> None:
    language = agent(architecture=architecture)
    acting = language.log_policy(EVERY)
    torch.testing.assert_close(acting.exp().sum(dim=1), torch.ones(len(EVERY)))
    for members, found in language.evaluate(EVERY, CHOICES):
        assert found.tokens is not None
        torch.testing.assert_close(found.log_policy.exp(), acting[members, : found.log_policy.shape[1]].exp(), atol=1e-5, rtol=0)
        chosen = found.log_policy.gather(1, CHOICES[torch.tensor(members)].unsqueeze(1)).squeeze(1)
        torch.testing.assert_close(found.tokens.logprobs.sum(dim=1), chosen, atol=1e-5, rtol=0)
        forced = [row for row, member in enumerate(members) if EVERY[member] is SOFA]  # the only action there
        assert (found.tokens.logprobs[forced] == 0).all()


def test_with_the_whole_vocabulary_it_acts_by_the_models_probabilities_of_the_words() -> None:
    language = agent(Tokens.vocabulary)
    scores = oracle.score(language.engine, [each.text for each in EVERY])
    torch.testing.assert_close(language.log_policy(EVERY), scores.logprobs.log_softmax(dim=1), atol=1e-4, rtol=1e-4)
    for members, found in language.evaluate(EVERY, CHOICES):
        assert found.tokens is not None
        expected = scores.logprobs[members, CHOICES[torch.tensor(members)]]
        torch.testing.assert_close(found.tokens.logprobs.sum(dim=1), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_frozen_values_are_of_the_states_before_the_tokens_and_computed_once(architecture: str) -> None:
    language = agent(architecture=architecture)
    values = language.token_value_function(EVERY, CHOICES)(torch.arange(len(EVERY)))
    computed = language.engine.tokens_computed
    disturb(language, torch.Generator().manual_seed(6))
    again = language.token_value_function(EVERY[::-1], CHOICES.flip(0))(torch.arange(len(EVERY))).flip(0)
    torch.testing.assert_close(again, values)
    assert language.engine.tokens_computed == computed
    torch.testing.assert_close(values[:, 0], language.values(EVERY), atol=1e-5, rtol=1e-4)  # before the first token: the prompt's
    with language.engine.lm.reference():
        language.engine.token_states = True
        states = language.engine.score([each.text for each in EVERY]).token_states
    lengths = [len(actions[choice]) for actions, choice in zip(
        language.engine.action_tokens([each.text for each in EVERY]), CHOICES.tolist(), strict=True)]  # fmt: skip
    for row, (choice, length) in enumerate(zip(CHOICES.tolist(), lengths, strict=True)):
        expected = language.critic(states[row, choice, :length])
        torch.testing.assert_close(values[row, :length], expected, atol=1e-4, rtol=1e-4)
        assert not values[row, length:].any()


def test_joint_values_have_a_gradient_into_the_model_and_are_those_of_acting() -> None:
    language = agent(head=State(hidden_sizes=[8]))
    acting = language.token_value_function(EVERY, CHOICES)(torch.arange(len(EVERY)))
    assert not acting.requires_grad
    for members, found in language.evaluate(EVERY, CHOICES):
        assert found.tokens is not None
        assert found.tokens.values is not None
        torch.testing.assert_close(found.tokens.values, acting[members, : found.tokens.values.shape[1]], atol=1e-5, rtol=0)
        assert found.values is not None
        torch.testing.assert_close(found.tokens.values[:, 0], found.values, atol=1e-5, rtol=0)
        found.tokens.values[:, 1:].sum().backward()
    assert all(parameter.grad is not None for parameter in language.critic.parameters())
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in language.engine.lm.learned())


def test_features_of_tokens_survive_a_checkpoint() -> None:
    language, resumed = agent(), agent()
    values = language.token_value_function(EVERY, CHOICES)(torch.arange(len(EVERY)))
    resumed.set_extra_state(stored(language.get_extra_state()))
    before = resumed.engine.tokens_computed
    assert torch.equal(resumed.token_value_function(EVERY, CHOICES)(torch.arange(len(EVERY))), values)
    assert resumed.engine.tokens_computed == before
    assert cost(resumed, EVERY) > 0  # the policies are not kept
