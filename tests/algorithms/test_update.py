"""An update against its definition: losses of minibatches computed plainly, from the oracle's scores."""

from dataclasses import replace

import pytest
import torch
from updates import (
    SAMPLES,
    agent,
    config,
    gradient,
    plain_loss,
    rollout,
    sgd,
    step,
    update_critic,
    update_policy,
    weights,
)

from twosome.agents.heads import Frozen, State
from twosome.algorithms.ppo import shuffled_minibatches, value_terms


@pytest.mark.parametrize("norm_adv", [True, False])
@pytest.mark.parametrize("parts", [1, 3])
def test_accumulation_is_the_mean_of_the_minibatches_own_losses(parts: int, norm_adv: bool) -> None:
    language = agent()
    batch, options = rollout(language), config(norm_adv=norm_adv, ent_coef=0.1, num_minibatches=parts)
    groups = shuffled_minibatches(SAMPLES, parts, torch.Generator().manual_seed(4))
    step(language, batch, groups, options)
    loss = torch.stack([plain_loss(language, batch, group, options) for group in groups]).mean()
    expected = torch.cat([part.flatten() for part in torch.autograd.grad(loss, language.parameter_groups()["policy"])])
    assert expected.norm() > 1e-3
    assert (gradient(language) - expected).norm() <= 1e-4 * expected.norm()


def test_parts_of_a_group_give_the_gradient_of_the_group_at_once() -> None:
    found = []
    for engine in ({}, {"row_tokens": 1, "batch_tokens": 1}):
        language = agent(**engine)
        assert len(list(language.evaluate(rollout(language).decisions))) == (5 if engine else 1)
        diagnostics = step(language, rollout(language), [torch.arange(SAMPLES)], config(ent_coef=0.1))
        found.append((gradient(language), diagnostics))
    (whole, one), (pieces, other) = found
    assert (whole - pieces).norm() <= 1e-4 * whole.norm()
    for name in ("policy_loss", "entropy", "approx_kl", "clipfrac"):
        assert other[name] == pytest.approx(one[name], abs=1e-5), name
    assert 0 < one["clipfrac"] < 1


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


@pytest.mark.parametrize("pairwise", [False, True])
@pytest.mark.parametrize("head", [Frozen, State])
def test_the_value_loss_takes_each_return_or_all(head: type, pairwise: bool) -> None:
    found = []
    for engine in ({}, {"row_tokens": 1, "batch_tokens": 1}):
        language = agent(head(hidden_sizes=[16]), **engine)
        batch, options = rollout(language), config(clip_vloss=False, max_grad_norm=1e6, pairwise_vloss=pairwise)
        if head is State:
            learned = step(language, batch, [torch.arange(SAMPLES)], options)
        else:
            still = torch.optim.SGD(language.critic.parameters(), 0.0)
            learned = update_critic(language, batch, options, still, torch.Generator())
        found.append(learned["value_loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    column = batch.values.unsqueeze(1).expand(-1, SAMPLES)
    terms = value_terms(column, column, batch.returns.expand(SAMPLES, -1), 0.2, False)
    assert found[0] == pytest.approx((terms if pairwise else terms.diag()).mean().item(), rel=1e-4)


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
    reference.critic.measure(features)
    loss = 0.25 * 0.5 * ((reference.critic(features)[rows] - batch.returns) ** 2).mean()
    for new, old, slope in zip(
        language.critic.parameters(),
        before,
        torch.autograd.grad(loss, list(reference.critic.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(old - new, slope, atol=1e-5, rtol=1e-4)
