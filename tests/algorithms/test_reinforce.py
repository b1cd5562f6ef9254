"""REINFORCE with a leave-one-out baseline: whole episodes, each once, and the gradient of its definition."""

import io
from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from episode_tools import GAMMA, agent, config, runner

from twosome.algorithms.algorithm import Progress
from twosome.algorithms.reinforce import EpisodeBatch, Played, Reinforce
from twosome.decision import Decision
from twosome.errors import UserError


def stored(state: dict[str, Any]) -> dict[str, Any]:
    """Through a file and back, as checkpoints are read: without running code."""
    file = io.BytesIO()
    torch.save(state, file)
    loaded: dict[str, Any] = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    return loaded


def test_every_decision_is_learned_from_once_with_its_episodes_return() -> None:
    algorithm, player = Reinforce(config()), agent()
    envs = runner(algorithm)
    taken: list[EpisodeBatch] = [algorithm.collect(player, envs, torch.Generator().manual_seed(n)) for n in range(5)]
    ended = envs.take_episodes()
    waiting = sum(len(played.decisions) for played in [*algorithm.running, *algorithm.ended])
    assert sum(batch.episodes for batch in taken) + len(algorithm.ended) == len(ended) > 10
    assert sum(len(batch.decisions) for batch in taken) + waiting == 5 * 12
    assert waiting > 0
    longest = [max((each.decisions for each in ended), default=0), max(len(batch.decisions) for batch in taken)]
    assert longest[0] == 5 > config().num_steps  # so an episode spans rollouts
    for batch in taken:
        starts = [place for place, one in enumerate(batch.decisions) if place == 0 or batch.decisions[place - 1].obs[0] == 1]
        assert len(starts) == batch.episodes  # each episode is whole: its last decision is on the last stair
        own = [float(batch.returns[place]) for place in starts]
        lengths = np.diff([*starts, len(batch.decisions)])
        for place, (begin, length) in enumerate(zip(starts, lengths, strict=True)):
            others = mean(own[:place] + own[place + 1 :])
            expected = torch.full((int(length),), own[place] - others)
            torch.testing.assert_close(batch.advantages[begin : begin + length], expected, atol=1e-6, rtol=0)
    by_env = sorted(each.discounted_return for each in ended)
    learned = [r for batch in taken for r, d in zip(batch.returns.tolist(), batch.decisions, strict=True) if d.obs[0] == 1]
    learned += [played.returns(GAMMA)[0] for played in algorithm.ended]
    np.testing.assert_allclose(sorted(learned), by_env, atol=1e-6)


@pytest.mark.parametrize("norm_adv", [False, True])
def test_the_gradient_is_that_of_the_definition(norm_adv: bool) -> None:
    algorithm, player, plain = Reinforce(config(norm_adv=norm_adv, ent_coef=0.1, max_grad_norm=1e9)), agent(), agent()
    envs = runner(algorithm)
    batch = algorithm.collect(player, envs, torch.Generator().manual_seed(0))
    advantages = batch.advantages / batch.advantages.std() if norm_adv else batch.advantages
    ((_, found),) = plain.evaluate(batch.decisions)
    policy = torch.distributions.Categorical(logits=found.log_policy)
    loss = -(advantages * policy.log_prob(batch.choices) + 0.1 * policy.entropy()).mean()
    expected = torch.autograd.grad(loss, plain.parameter_groups()["policy"])
    weights = player.parameter_groups()["policy"]
    before = [weight.detach().clone() for weight in weights]
    found = algorithm.update(player, batch, [torch.optim.SGD(weights, 1.0)], Progress(0, 10**9), torch.Generator())
    rate = config().learning_rate
    for weight, old, slope in zip(weights, before, expected, strict=True):
        torch.testing.assert_close((old - weight) / rate, slope, atol=1e-4, rtol=1e-3)
    assert (found["policy_steps"], found["learned_episodes"]) == (1, batch.episodes)
    assert found["learned_decisions"] == len(batch.decisions)


def test_an_update_without_episodes_changes_nothing_and_has_the_same_columns() -> None:
    algorithm, player = Reinforce(config(num_steps=1, norm_adv=False)), agent()
    optimizers = algorithm.optimizers(player)
    envs = runner(algorithm, seed=1)
    before = [weight.detach().clone() for weight in player.parameters()]
    batches = [algorithm.collect(player, envs, torch.Generator().manual_seed(n)) for n in range(8)]
    empty = next(batch for batch in batches if not batch.episodes)
    found = algorithm.update(player, empty, optimizers, Progress(0, 10), torch.Generator())
    assert all(torch.equal(weight, old) for weight, old in zip(player.parameters(), before, strict=True))
    full = algorithm.update(player, next(b for b in batches if b.episodes), optimizers, Progress(0, 10), torch.Generator())
    assert list(found) == list(full)
    assert (found["policy_steps"], full["policy_steps"]) == (0, 1)


def test_waiting_episodes_survive_a_checkpoint() -> None:
    algorithm, resumed, player = Reinforce(config()), Reinforce(config()), agent()
    envs = runner(algorithm)
    for number in range(2):
        algorithm.collect(player, envs, torch.Generator().manual_seed(number))
    assert any(played.decisions for played in algorithm.running)
    resumed.load_state_dict(stored(algorithm.state_dict()))
    others = runner(resumed, seed=9)
    others.load_state_dict(stored(envs.state_dict()))
    one, other = (
        each.collect(player, played, torch.Generator().manual_seed(1)) for each, played in ((algorithm, envs), (resumed, others))
    )
    assert one.episodes == other.episodes > 0
    assert [each.text for each in one.decisions] == [each.text for each in other.decisions]
    assert all(np.array_equal(a.obs, b.obs) for a, b in zip(one.decisions, other.decisions, strict=True))
    for name in ("choices", "logprobs", "advantages", "returns"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_a_state_has_nothing_that_agents_must_not_read() -> None:
    decision = Decision(np.zeros(1, dtype=np.float32), "p", (0,), ("a",), affordances=(1.0,), state=object())
    kept = Played.of_state(stored(Played(0, [decision]).state())).decisions[0]
    assert (kept.text, kept.affordances, kept.state) == (decision.text, None, None)


def test_values_that_learn_with_the_policy_are_refused() -> None:
    player = agent()
    player.joint_values = True
    with pytest.raises(UserError, match=r"value_head: .* Reinforce has no critic; choose value_head=frozen"):
        Reinforce(config()).check(player)
    with pytest.raises(UserError, match=r"algorithm\.base_kl_coef=1\.0: expected 0"):
        Reinforce(config(base_kl_coef=1.0)).check(agent())
