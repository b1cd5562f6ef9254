"""Minibatches of samples and of decisions, weights of samples, and the terms of the loss that are off by default."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from updates import SAMPLES, agent, config, gradient, plain_loss, rollout, sgd, step, update_policy, weights

from twosome.agents.symbolic import SymbolicAgent
from twosome.algorithms.algorithm import Progress
from twosome.algorithms.ppo import PPO, Minibatch, count_weights, decision_minibatches, shuffled_minibatches
from twosome.errors import UserError

BY_DECISION = {"minibatch": Minibatch.decisions}


def test_minibatches_of_samples_share_out_a_shuffled_batch() -> None:
    parts = shuffled_minibatches(12, 4, torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == [3] * 4
    order = torch.cat(parts)
    assert order.sort().values.tolist() == list(range(12)) != order.tolist()
    assert torch.equal(torch.cat(shuffled_minibatches(12, 4, torch.Generator().manual_seed(0))), order)
    (whole,) = shuffled_minibatches(12, 1, torch.Generator())
    assert whole.tolist() == list(range(12))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=200), st.integers(1, 8), st.integers(0, 99))
def test_minibatches_of_decisions_share_out_the_decisions(keys: list[int], parts: int, seed: int) -> None:
    sizes = [1 + key % 5 for key in keys]
    found = decision_minibatches(keys, sizes, parts, torch.Generator().manual_seed(seed))
    assert len(found) == min(parts, len(set(keys)))
    assert sorted(torch.cat(found).tolist()) == list(range(len(keys)))
    held = [{keys[index] for index in part.tolist()} for part in found]
    assert sum(map(len, held)) == len(set(keys))  # none is in two parts
    loads = [sum(1 + key % 5 for key in part) for part in held]
    assert max(loads) - min(loads) <= 5  # the largest size: each decision went to the lightest part


@given(st.lists(st.integers(0, 5), min_size=1, max_size=50), st.sampled_from([0.0, 0.5, 1.0]))
def test_weights_follow_the_counts(keys: list[int], exponent: float) -> None:
    found, counts = count_weights(keys, exponent), Counter(keys)
    assert found.mean().item() == pytest.approx(1, rel=1e-5)
    for key in counts:
        ratio = found[keys.index(key)] / found[0]
        assert ratio.item() == pytest.approx((counts[keys[0]] / counts[key]) ** exponent, rel=1e-5)


@pytest.mark.parametrize("exponent", [0.0, 0.5])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_pass_over_parts_of_the_decisions_is_the_gradient_of_the_rollout(parts: int, exponent: float) -> None:
    language = agent()
    options = config(**BY_DECISION, num_minibatches=parts, count_exponent=exponent, ent_coef=0.1)
    batch = rollout(language)
    keys, sizes = [language.decision_key(decision) for decision in batch.decisions], language.sizes(batch.decisions)
    for part in decision_minibatches(keys, sizes, parts, torch.Generator()):
        step(language, batch, [part], options)  # without an optimiser: the parts' gradients add up
    loss = parts * plain_loss(language, batch, torch.arange(SAMPLES), options, count_weights(keys, exponent))
    expected = torch.cat([part.flatten() for part in torch.autograd.grad(loss, language.parameter_groups()["policy"])])
    assert expected.norm() > 1e-3
    assert (gradient(language) - expected).norm() <= 1e-4 * expected.norm()


def test_a_pass_over_decisions_computes_each_once() -> None:
    whole, parts = agent(row_tokens=1), agent(row_tokens=1)  # trees of one decision: no padding differs
    for language, count in ((whole, 1), (parts, 5)):
        batch = rollout(language)
        before = language.engine.tokens_computed
        options = config(**BY_DECISION, num_minibatches=count)
        found = update_policy(language, batch, options, sgd(language, 1e-3), torch.Generator())
        assert found["policy_steps"] == count
        language.spent = language.engine.tokens_computed - before
    assert parts.spent <= whole.spent * 2  # batches are padded to a multiple of so many tokens, nothing else


def test_advantages_are_clipped_after_they_are_normalised() -> None:
    language = agent()
    batch = rollout(language)
    plain, least = (PPO(config(**BY_DECISION, clip_adv=most)).targets(language, batch).advantages for most in (None, 0.5))
    assert plain.abs().max() > 0.5
    assert torch.equal(least, plain.clamp(-0.5, 0.5))
    found = [step(agent(), batch, [torch.arange(SAMPLES)], config(clip_adv=most))["policy_loss"] for most in (None, 100.0, 0.5)]
    assert found[0] == found[1] != found[2]


def test_a_step_beyond_the_target_kl_is_left_out_alone() -> None:
    language = agent()
    batch = rollout(language, stale=0.0)
    stale = batch.logprobs.clone()
    stale[0::5] += 2.0  # the samples of one decision
    options = config(**BY_DECISION, num_minibatches=5, target_kl=0.1)
    found = update_policy(language, replace(batch, logprobs=stale), options, sgd(language, 1e-4), torch.Generator())
    assert (found["policy_steps"], found["kl_stop"]) == (4, 1)


def test_the_kl_to_the_base_model_is_that_of_its_policy() -> None:
    language = agent()
    batch = rollout(language)
    found = step(language, batch, [torch.arange(SAMPLES)], config(base_kl_coef=1.0))
    with torch.no_grad():
        now = language.log_policy(batch.decisions)
        for parameter in language.parameter_groups()["policy"]:
            parameter.zero_()  # LoRA's product is 0: the model before training
        before = language.log_policy(batch.decisions)
    expected = (now.exp() * (now - before)).sum(dim=1).mean()
    assert expected > 1e-3
    assert found["base_kl"] == pytest.approx(expected.item(), rel=1e-3)


def test_terms_that_the_agent_cannot_have_are_refused() -> None:
    with pytest.raises(UserError, match=r"algorithm\.base_kl_coef=0\.1: expected 0 for a baseline without a language model"):
        PPO(config(base_kl_coef=0.1)).check(SymbolicAgent(4, 2, [8], torch.Generator()))
    joint = agent()
    joint.joint_values = True
    with pytest.raises(
        UserError, match=r"algorithm\.value_warmup_updates=3: expected 0 where values learn together with the policy"
    ):
        PPO(config(value_warmup_updates=3)).check(joint)


def test_while_the_critic_warms_up_the_policy_stays() -> None:
    language = agent()
    batch, before = rollout(language), weights(language)
    algorithm = PPO(config(value_warmup_updates=1))
    optimizers = algorithm.optimizers(language)
    first, second = (
        algorithm.update(language, batch, optimizers, Progress(update, 2), torch.Generator().manual_seed(0)) for update in (0, 1)
    )
    assert first.keys() == second.keys()
    assert (first["policy_steps"], second["policy_steps"]) == (0, 1)
    assert second["value_loss"] < first["value_loss"]
    assert not torch.equal(weights(language), before)
