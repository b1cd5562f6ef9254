"""The symbolic agent: its networks, its mask, and a PPO step against one written out by hand."""

import copy
import math
from typing import Any

import gymnasium
import numpy as np
import ppo_options
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from twosome.agents.agent import AgentContext
from twosome.agents.symbolic import SymbolicAgent, build
from twosome.algorithms.algorithm import Progress
from twosome.algorithms.ppo import PPO, PPOConfig
from twosome.algorithms.rollout import Batch
from twosome.decision import Decision
from twosome.envs.overcooked.env import OvercookedEnv
from twosome.errors import UserError
from twosome.language.loading import ModelConfig
from twosome.language.norms import word

NUMBERS, ACTIONS = 6, 5
ADMISSIBLE = [(0, 1, 2, 3, 4), (3, 1), (2,), (4, 0, 2)]


def agent(seed: int = 0, numbers: int = NUMBERS, opinionated: bool = True) -> SymbolicAgent:
    """The same at every call; opinionated: the actor's last layer is larger than at first, so that policies differ."""
    made = SymbolicAgent(numbers, ACTIONS, [64, 64], torch.Generator().manual_seed(seed))
    if opinionated:
        with torch.no_grad():
            made.actor[-1].weight.mul_(100)
    return made


def decision(ids: tuple[int, ...], seed: int) -> Decision:
    obs = np.random.default_rng(seed).normal(size=NUMBERS).astype(np.float32)
    return Decision(obs, "a prompt", ids, tuple(f"action {number}" for number in ids))


def logits_of(made: SymbolicAgent, obs: np.ndarray) -> np.ndarray:
    """The actor by numpy."""
    values = obs.astype(np.float64)
    for layer in made.actor:
        if isinstance(layer, nn.Linear):
            values = layer.weight.detach().double().numpy() @ values + layer.bias.detach().double().numpy()
        else:
            values = np.tanh(values)
    return values


def test_networks_are_cleanrls() -> None:
    made = agent(opinionated=False)
    hidden = 6 * 64 + 64 + 64 * 64 + 64
    assert sum(parameter.numel() for parameter in made.parameter_groups()["policy"]) == hidden + 64 * 5 + 5
    assert sum(parameter.numel() for parameter in made.critic.parameters()) == hidden + 64 + 1
    shared = set(map(id, made.parameter_groups()["policy"])) & set(map(id, made.critic.parameters()))
    assert not shared
    for network, output_gain in ((made.actor, 0.01), (made.critic, 1.0)):
        kinds = [type(layer) for layer in network]
        assert kinds == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
        for layer, gain in zip(network[::2], (math.sqrt(2), math.sqrt(2), output_gain), strict=True):
            weight = layer.weight.detach().double()
            product = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
            torch.testing.assert_close(product, gain**2 * torch.eye(len(product), dtype=torch.double), atol=1e-5, rtol=0)
            assert not layer.bias.any()


@given(st.lists(st.lists(st.integers(0, ACTIONS - 1), min_size=1, unique=True).map(tuple), min_size=1))
def test_the_policy_is_the_softmax_over_a_decisions_own_actions_in_their_order(admissible: list[tuple[int, ...]]) -> None:
    made = agent()
    decisions = [decision(ids, seed) for seed, ids in enumerate(admissible)]
    found = made.log_policy(decisions)
    assert not found.requires_grad
    assert found.shape == (len(decisions), max(map(len, admissible)))
    for row, one in zip(found.exp(), decisions, strict=True):
        weights = np.exp(logits_of(made, one.obs)[list(one.action_ids)])
        np.testing.assert_allclose(row[: len(weights)].numpy(), weights / weights.sum(), atol=1e-5)
        assert not row[len(weights) :].any()


def by_hand(made: SymbolicAgent, batch: Batch, config: PPOConfig) -> tuple[Tensor, Tensor]:
    """CleanRL's losses of policy and critic, sample by sample, from logits with inadmissible actions at -inf."""
    advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
    policy_losses, value_losses = [], []
    for i, one in enumerate(batch.decisions):
        obs = torch.from_numpy(one.obs)
        mask = torch.full((ACTIONS,), -torch.inf)
        mask[list(one.action_ids)] = 0
        policy = torch.distributions.Categorical(logits=made.actor(obs) + mask)
        ratio = (policy.log_prob(torch.tensor(one.action_ids[batch.choices[i]])) - batch.logprobs[i]).exp()
        surrogate = torch.min(advantages[i] * ratio, advantages[i] * ratio.clamp(1 - config.clip_coef, 1 + config.clip_coef))
        policy_losses.append(-surrogate - config.ent_coef * policy.entropy())
        value = made.critic(obs).squeeze()
        clipped = batch.values[i] + (value - batch.values[i]).clamp(-config.clip_coef, config.clip_coef)
        value_losses.append(0.5 * torch.max((value - batch.returns[i]) ** 2, (clipped - batch.returns[i]) ** 2))
    return torch.stack(policy_losses).mean(), config.vf_coef * torch.stack(value_losses).mean()


@pytest.mark.parametrize("max_grad_norm", [0.01, 100.0])
def test_an_update_is_a_step_of_adam_on_cleanrls_losses(max_grad_norm: float) -> None:
    config = ppo_options.config(num_envs=2, num_steps=4, ent_coef=0.1, max_grad_norm=max_grad_norm)
    made = agent()
    generator = torch.Generator().manual_seed(1)
    decisions = [decision(ADMISSIBLE[i % 4], seed=i) for i in range(8)]
    choices = torch.tensor([i % len(one.action_ids) for i, one in enumerate(decisions)])
    noise, advantages, values, returns = torch.randn(4, 8, generator=generator)
    logprobs = made.log_policy(decisions).gather(1, choices.unsqueeze(1)).squeeze(1) + 0.3 * noise
    batch = Batch(decisions, choices, logprobs, values, advantages, returns)

    plain = copy.deepcopy(made)
    for loss, network in zip(by_hand(plain, batch, config), (plain.actor, plain.critic), strict=True):
        loss.backward()
        norm = torch.cat([parameter.grad.flatten() for parameter in network.parameters()]).norm()
        assert (norm > max_grad_norm) == (max_grad_norm < 1)
        for parameter in network.parameters():
            assert parameter.grad is not None
            gradient = parameter.grad * min(1.0, max_grad_norm / norm.item())
            parameter.data -= config.learning_rate * gradient / (gradient.abs() + config.adam_eps)  # Adam's first step

    policy_optimizer = torch.optim.AdamW(made.parameter_groups()["policy"], 1e-2, eps=config.adam_eps, weight_decay=0)
    PPO(config).update_policy(made, batch, policy_optimizer, Progress(0, 1), generator)
    PPO(config).update_critic(made, batch, torch.optim.Adam(made.critic.parameters(), 1e-2, eps=config.adam_eps), generator)
    for name, parameter in made.named_parameters():
        torch.testing.assert_close(parameter, plain.get_parameter(name), atol=2e-5, rtol=0)


def test_what_was_exported_can_be_loaded(tmp_path: Any) -> None:
    first, second = agent(seed=1), agent(seed=2)
    first.export(tmp_path / "policy")
    second.load(tmp_path / "policy")
    decisions = [decision(ids, seed) for seed, ids in enumerate(ADMISSIBLE)]
    assert torch.equal(first.log_policy(decisions), second.log_policy(decisions))
    assert torch.equal(first.values(decisions), second.values(decisions))
    with pytest.raises(UserError, match="other names or shapes"):
        agent(numbers=8).load(tmp_path / "policy")


def test_no_language_model_is_loaded_and_sizes_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twosome.language.loading.load_language_model", pytest.fail)
    context = AgentContext(OvercookedEnv, ModelConfig(source="hf", path="nowhere", device="cpu"), word, 0, 0.99)
    made = build(context, [3])
    assert made.actor[0].weight.shape == (3, 18)
    assert made.actor[-1].weight.shape == (5, 3)


class Unreadable(gymnasium.Env):
    """Observations that are not numbers."""

    observation_space = gymnasium.spaces.Text(3)
    action_space = gymnasium.spaces.Discrete(2)


class Continuous(gymnasium.Env):
    """Actions that are not numbered."""

    observation_space = gymnasium.spaces.Box(0, 1, (2,))
    action_space = gymnasium.spaces.Box(0, 1, (2,))


@pytest.mark.parametrize(("env", "said"), [(Unreadable, r"is Text\(.*\), expected a Box"), (Continuous, "expected a Discrete")])
def test_environments_that_it_cannot_act_in_are_refused(env: type[gymnasium.Env], said: str) -> None:
    with pytest.raises(UserError, match=said):
        build(AgentContext(env, ModelConfig(device="cpu"), word, 0, 0.99), [64, 64])
