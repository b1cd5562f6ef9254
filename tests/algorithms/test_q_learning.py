"""Q-learning: its targets by hand, and a replay buffer that is bounded, compact and restored exactly."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from twosome.agents.agent import Evaluation
from twosome.algorithms.algorithm import Progress
from twosome.algorithms.q_learning import QLearning, Replay, Transition, build, decision, transitions
from twosome.envs.vector import Step
from twosome.errors import UserError

OPTIONS = {
    "num_envs": 2, "num_steps": 4, "transitions_per_step": 4, "minibatch_size": 16, "learning_rate": 0.05, "adam_eps": 1e-8,
    "max_grad_norm": 5.0, "gamma": 0.5, "replay_mb": 1,
}  # fmt: skip
TEXTS = [(f"place {number}", ("left", "right")) for number in range(3)]


class Table(nn.Module):
    """Values of actions in a table, by the number at the prompt's end; in parts of two decisions."""

    has_action_values = True

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0], [7.0, 5.0]]))

    def evaluate(self, decisions, choices=None):
        for first in range(0, len(decisions), 2):
            members = list(range(first, min(first + 2, len(decisions))))
            rows = self.table[[int(decisions[index].prompt.split()[-1]) for index in members]]
            yield members, Evaluation(torch.log_softmax(rows, dim=1), action_values=rows)

    def parameter_groups(self):
        return {"policy": [self.table], "value": []}


def test_targets_are_reward_plus_the_discounted_best_value_of_what_followed():
    drawn = [
        Transition(TEXTS[0], 0, 0.5, 1, TEXTS[1]),
        Transition(TEXTS[0], 1, -1.0, 3, TEXTS[2]),
        Transition(TEXTS[1], 1, 2.0, 1, None),
    ]
    found = build(**OPTIONS).targets(Table(), drawn)
    assert found.tolist() == [0.5 + 0.5 * 4, -1 + 0.5**3 * 7, 2.0]
    assert not found.requires_grad


def test_an_episode_that_was_cut_goes_on_and_one_that_ended_does_not():
    now, then, last = (decision(text) for text in TEXTS)
    step = Step([then] * 3, np.array([0.0, 1.0, 2.0]), np.array([1, 1, 4]), np.ones(3), np.array([False, True, False]),
                np.array([False, True, True]), np.zeros(3, bool), {1: last, 2: last}, [])  # fmt: skip
    found = transitions([now] * 3, [0, 1, 1], step)
    assert [each.following for each in found] == [then.text, None, last.text]
    assert [tuple(each)[:4] for each in found] == [(now.text, 0, 0.0, 1), (now.text, 1, 1.0, 1), (now.text, 1, 2.0, 4)]


def test_updates_reach_the_fixed_point():
    """A chain: right of place 0 is place 1, right of place 1 ends with 1; left stays."""
    chain = [
        Transition(TEXTS[0], 0, 0.0, 1, TEXTS[0]), Transition(TEXTS[0], 1, 0.0, 1, TEXTS[1]),
        Transition(TEXTS[1], 0, 0.0, 2, TEXTS[1]), Transition(TEXTS[1], 1, 1.0, 1, None),
    ]  # fmt: skip
    algorithm, agent, generator = build(**OPTIONS), Table(), torch.Generator().manual_seed(0)
    optimizers = algorithm.optimizers(agent)
    metrics = [algorithm.update(agent, chain * 2, optimizers, Progress(0, 1), generator) for _ in range(200)]
    expected = torch.tensor([[0.25, 0.5], [0.25, 1.0]])
    torch.testing.assert_close(agent.table[:2].detach(), expected, atol=0.02, rtol=0)
    assert agent.table[2].tolist() == [7, 5]  # never met
    assert metrics[0]["policy_steps"] == 2
    assert metrics[-1]["replay_size"] == 1600
    assert metrics[-1]["q_loss"] < metrics[0]["q_loss"] / 100


def walk(count, prompt="You see the number {}"):
    texts = [(prompt.format(number), ("go", "stay")) for number in range(count + 1)]
    return [Transition(texts[number], number % 2, number / 8, 1, texts[number + 1]) for number in range(count)]


def test_the_buffer_is_bounded_and_the_oldest_give_way():
    replay, every = Replay(50_000), walk(1000)
    for transition in every:
        replay.add(transition)
        assert replay.size <= 50_000
    kept = len(replay)
    assert 100 < kept < 200
    assert len(replay.texts) == kept + 2
    drawn = set(replay.sample(4000, torch.Generator().manual_seed(0)))
    assert drawn == set(every[-kept:])


@pytest.mark.parametrize("most", [1e9, 30_000])
def test_a_restored_buffer_goes_on_as_the_one_that_was_saved(most, tmp_path):
    saved, again = Replay(most), Replay(most)
    for transition in walk(300):
        saved.add(transition)
    torch.save(saved.state(), tmp_path / "state")
    again.restore(torch.load(tmp_path / "state", weights_only=True))
    for transition in walk(300, "Elsewhere, the number {}"):
        saved.add(transition)
        again.add(transition)
    assert (len(again), again.size) == (len(saved), saved.size)
    draws = [each.sample(500, torch.Generator().manual_seed(2)) for each in (saved, again)]
    assert draws[0] == draws[1]
    assert (tmp_path / "state").stat().st_size < 300 * 150


def test_an_agent_without_values_of_actions_is_refused():
    with pytest.raises(UserError, match=r"algorithm=q_learning: expected an agent with values of actions"):
        QLearning.check(build(**OPTIONS), SimpleNamespace(has_action_values=False))
