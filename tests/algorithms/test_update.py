"""An update against its definition: losses of minibatches computed plainly, from the oracle's scores."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from twosome.algorithms.ppo.config import PPOConfig
from twosome.algorithms.ppo.update import minibatches, policy_gradient, update_critic, update_policy
from twosome.algorithms.rollout import Batch
from twosome.decision import Decision
from twosome.language import norms, oracle
from twosome.language.config import ModelConfig
from twosome.language.loading import load_language_model
from twosome.language.lora import Lora
from twosome.language.scorer import Scorer
from twosome.policies.language import LanguageAgent
from twosome.policies.value_heads import Frozen

KINDS = [
    ("You notice a tomato on the table.", ("pick up the tomato", "chop", "serve the dish")),
    ("You notice a tomato on the table.", ("chop", "go left")),
    ("Now you are in the kitchen", ("open the microwave", "sit on the sofa", "go", "go forward")),
    ("You see the sofa", ("sit on the sofa",)),
    ("Currently you are carrying a bowl", ("serve the dish", "go left")),
]
SAMPLES = 12


def config(**options: Any) -> PPOConfig:
    defaults: dict[str, Any] = {
        "num_envs": 3, "num_steps": 4, "update_epochs": 1, "num_minibatches": 1, "gradient_accumulation_steps": 1,
        "value_update_epochs": 1, "value_num_minibatches": 1, "learning_rate": 1e-2, "value_learning_rate": 1e-2,
        "target_kl": None,
    }  # fmt: skip
    return PPOConfig(**{**defaults, **options})


def agent(**engine: int) -> LanguageAgent:
    """The same agent at every call, with an adapter that matters and critics that differ between prompts."""
    language = load_language_model(ModelConfig(source="tiny_random", device="cpu"), Lora())
    made = LanguageAgent(Scorer(language, norms.token, **engine), Frozen(hidden_sizes=[16]), torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in made.parameter_groups()["policy"]:
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return made


def rollout(language: LanguageAgent, stale: float = 0.3) -> Batch:
    """Random samples with duplicates; stale: how far the log-probabilities they were drawn with differ from today's."""
    generator = torch.Generator().manual_seed(3)
    decisions = [Decision(np.zeros(1, dtype=np.float32), *_numbered(*KINDS[i % 5])) for i in range(SAMPLES)]
    choices = torch.tensor([i % len(one.action_ids) for i, one in enumerate(decisions)])
    now = language.log_policy(decisions).gather(1, choices.unsqueeze(1)).squeeze(1)
    noise, advantages, returns = torch.randn(3, SAMPLES, generator=generator)
    return Batch(decisions, choices, now + stale * noise, language.values(decisions), 1 + 2 * advantages, returns)


def _numbered(prompt: str, actions: tuple[str, ...]) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
    return prompt, tuple(range(len(actions))), actions


def plain_loss(language: LanguageAgent, batch: Batch, index: Tensor, options: PPOConfig) -> Tensor:
    """CleanRL's policy loss of one minibatch, one oracle row per sample and action."""
    scores = oracle.score(language.engine, [batch.decisions[i].text for i in index.tolist()]).scores
    advantages = batch.advantages[index]
    if options.norm_adv:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    losses, entropies = [], []
    for row, i, advantage in zip(scores, index.tolist(), advantages, strict=True):
        policy = torch.distributions.Categorical(logits=row[: len(batch.decisions[i].action_ids)])
        ratio = (policy.log_prob(batch.choices[i]) - batch.logprobs[i]).exp()
        clipped = ratio.clamp(1 - options.clip_coef, 1 + options.clip_coef)
        losses.append(torch.max(-advantage * ratio, -advantage * clipped))
        entropies.append(policy.entropy())
    return torch.stack(losses).mean() - options.ent_coef * torch.stack(entropies).mean()


def gradient(language: LanguageAgent) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in language.parameter_groups()["policy"]])


def weights(language: LanguageAgent) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in language.parameter_groups()["policy"]])


def sgd(language: LanguageAgent, lr: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD(language.parameter_groups()["policy"], lr)


@pytest.mark.parametrize("norm_adv", [True, False])
@pytest.mark.parametrize("parts", [1, 3])
def test_accumulation_is_the_mean_of_the_minibatches_own_losses(parts: int, norm_adv: bool) -> None:
    language = agent()
    batch, options = rollout(language), config(norm_adv=norm_adv, ent_coef=0.1)
    groups = list(minibatches(SAMPLES, parts, torch.Generator().manual_seed(4)))
    policy_gradient(language, batch, groups, options)
    loss = torch.stack([plain_loss(language, batch, group, options) for group in groups]).mean()
    expected = torch.cat([part.flatten() for part in torch.autograd.grad(loss, language.parameter_groups()["policy"])])
    assert expected.norm() > 1e-3
    assert (gradient(language) - expected).norm() <= 1e-4 * expected.norm()


def test_parts_of_a_group_give_the_gradient_of_the_group_at_once() -> None:
    found = []
    for engine in ({}, {"row_tokens": 1, "batch_tokens": 1}):
        language = agent(**engine)
        assert len(list(language.evaluate(rollout(language).decisions))) == (5 if engine else 1)
        diagnostics = policy_gradient(language, rollout(language), [torch.arange(SAMPLES)], config(ent_coef=0.1))
        found.append((gradient(language), diagnostics))
    (whole, one), (pieces, other) = found
    assert (whole - pieces).norm() <= 1e-4 * whole.norm()
    for name in ("policy_loss", "entropy", "approx_kl", "clipfrac"):
        assert other[name] == pytest.approx(one[name], abs=1e-5), name
    assert 0 < one["clipfrac"] < 1


def test_a_group_scores_each_distinct_decision_once() -> None:
    language = agent()
    batch = rollout(language)
    before = language.engine.tokens_computed
    policy_gradient(language, batch, list(torch.arange(SAMPLES).chunk(3)), config())
    fresh = agent().engine
    fresh.score(KINDS)
    assert language.engine.tokens_computed - before == fresh.tokens_computed


def test_diagnostics_of_an_unmoved_policy() -> None:
    language = agent()
    batch = rollout(language, stale=0.0)
    found = policy_gradient(language, batch, [torch.arange(SAMPLES)], config(norm_adv=False))
    assert found["approx_kl"] == pytest.approx(0, abs=1e-6)
    assert found["clipfrac"] == 0
    assert found["policy_loss"] == pytest.approx(-batch.advantages.mean().item(), abs=1e-5)


def test_minibatches_share_out_a_shuffled_batch() -> None:
    parts = list(minibatches(12, 4, torch.Generator().manual_seed(0)))
    assert [len(part) for part in parts] == [3] * 4
    order = torch.cat(parts)
    assert order.sort().values.tolist() == list(range(12)) != order.tolist()
    assert torch.equal(torch.cat(list(minibatches(12, 4, torch.Generator().manual_seed(0)))), order)
    (whole,) = minibatches(12, 1, torch.Generator())
    assert whole.tolist() == list(range(12))


def test_a_kl_beyond_the_target_drops_the_gradient_and_leaves_the_weights() -> None:
    language = agent()
    before = weights(language).clone()
    batch = rollout(language, stale=1.0)
    found = update_policy(
        language, batch, config(update_epochs=3, target_kl=0.01), sgd(language), torch.Generator().manual_seed(0)
    )
    assert found["approx_kl"] > 0.01
    assert (found["kl_stop"], found["policy_steps"], found["grad_norm"]) == (1, 0, 0.0)
    assert torch.equal(weights(language), before)
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in language.parameter_groups()["policy"])


def test_the_kl_stop_keeps_the_steps_before_it() -> None:
    stopped, one_step = agent(), agent()
    batch = rollout(stopped, stale=0.0)
    options = config(update_epochs=4, target_kl=1e-3, max_grad_norm=5.0)
    found = update_policy(stopped, batch, options, sgd(stopped), torch.Generator())
    assert (found["kl_stop"], found["policy_steps"]) == (1, 1)
    free = replace(options, target_kl=None)
    once = update_policy(one_step, batch, replace(free, update_epochs=1), sgd(one_step), torch.Generator())
    assert (once["kl_stop"], once["policy_steps"]) == (0, 1)
    assert torch.equal(weights(stopped), weights(one_step))
    assert found["grad_norm"] == once["grad_norm"]
    free_runner = agent()
    all_steps = update_policy(free_runner, batch, free, sgd(free_runner), torch.Generator())
    assert (all_steps["kl_stop"], all_steps["policy_steps"]) == (0, 4)


@pytest.mark.parametrize("limit", [1e-3, 1e3])
def test_a_step_is_no_longer_than_the_gradient_norm_allows(limit: float) -> None:
    language = agent()
    before, batch = weights(language).clone(), rollout(language)
    found = update_policy(language, batch, config(max_grad_norm=limit), sgd(language), torch.Generator())
    moved = (weights(language) - before).norm().item()
    assert 1e-3 < found["grad_norm"] < 1e3  # reported as it was before clipping
    assert moved == pytest.approx(min(limit, found["grad_norm"]), rel=1e-2)


def test_optimiser_steps_are_minibatches_over_accumulation() -> None:
    language = agent()
    options = config(update_epochs=2, num_minibatches=6, gradient_accumulation_steps=3)
    found = update_policy(language, rollout(language), options, sgd(language, 1e-3), torch.Generator().manual_seed(0))
    assert found["policy_steps"] == 2 * 6 / 3


def test_the_policy_update_makes_good_actions_likelier_and_bad_ones_rarer() -> None:
    language = agent()
    batch = rollout(language, stale=0.0)
    good = torch.tensor([len(one.action_ids) > 2 for one in batch.decisions])
    batch = replace(batch, advantages=torch.where(good, 1.0, -1.0))
    update_policy(language, batch, config(norm_adv=False, ent_coef=0.0), sgd(language, 0.1), torch.Generator())
    after = language.log_policy(batch.decisions).gather(1, batch.choices.unsqueeze(1)).squeeze(1)
    assert ((after - batch.logprobs) * batch.advantages).sum() > 0


@pytest.mark.parametrize("clip_vloss", [True, False])
def test_the_critics_update_lowers_its_loss_and_leaves_the_policy(clip_vloss: bool) -> None:
    language = agent()
    before, batch = weights(language).clone(), rollout(language)
    options = config(clip_vloss=clip_vloss, value_num_minibatches=3)
    optimizer = torch.optim.Adam(language.critic.parameters(), 1e-3)
    generator = torch.Generator().manual_seed(0)

    def error() -> float:
        return ((language.values(batch.decisions) - batch.returns) ** 2).mean().item()

    first = error()
    losses = [update_critic(language, batch, options, optimizer, generator)["value_loss"] for _ in range(10)]
    assert losses[-1] < losses[0]
    assert error() < 0.95 * first
    assert torch.equal(weights(language), before)
    assert all(parameter.grad is None for parameter in language.parameters())


def test_the_critics_first_loss_is_half_the_mean_squared_error() -> None:
    language = agent()
    batch = rollout(language)
    optimizer = torch.optim.SGD(language.critic.parameters(), 1.0)
    before = [parameter.detach().clone() for parameter in language.critic.parameters()]
    found = update_critic(language, batch, config(vf_coef=0.25, max_grad_norm=1e6), optimizer, torch.Generator())
    assert found["value_loss"] == pytest.approx(0.5 * ((batch.values - batch.returns) ** 2).mean().item(), rel=1e-5)
    unexplained = (batch.returns - batch.values).var() / batch.returns.var()
    assert found["explained_variance"] == pytest.approx(1 - unexplained.item(), rel=1e-5)
    reference = agent()
    features, rows = reference.features(batch.decisions)
    loss = 0.25 * 0.5 * ((reference.critic(features)[rows] - batch.returns) ** 2).mean()
    for new, old, slope in zip(
        language.critic.parameters(),
        before,
        torch.autograd.grad(loss, list(reference.critic.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(old - new, slope, atol=1e-5, rtol=1e-4)
