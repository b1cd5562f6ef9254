"""The mixture of tasks: which environment plays which, its restored states, and scores by task."""

from dataclasses import replace

import pytest
import torch
from babyai_text_tools import make

from twosome.envs.checked import Checked
from twosome.envs.episode import Episode
from twosome.envs.vector import DecisionEnvs
from twosome.evaluation.episodes import by_task, play, summarize
from twosome.policies.bounds import RandomAgent

MIXTURE = ("go_to", "pick_up", "put_next_to", "pick_up_go_to", "unlock")


def make_env(**options):
    return Checked(make(task="mixed", num_objects=4, room_size=6, **options))


def tasks(envs):
    return [player.episode.task for player in envs.players]


def test_tasks_are_assigned_in_turn_and_kept():
    envs = DecisionEnvs(make_env, 7)
    envs.reset(seed=0)
    assert tasks(envs) == [*MIXTURE, "go_to", "pick_up"]
    for _ in range(80):  # more than an episode
        step = envs.step([0] * 7)
        assert all(episode.task == MIXTURE[episode.env % 5] for episode in step.episodes)
    assert tasks(envs) == [*MIXTURE, "go_to", "pick_up"]
    part = DecisionEnvs(make_env, 7, own=range(4, 7))  # another process's
    part.reset(seed=0)
    assert tasks(part) == ["unlock", "go_to", "pick_up"]


def test_drawn_tasks_depend_on_seed_and_index_only():
    def drawn(mixture_seed, count):
        envs = DecisionEnvs(lambda: make_env(mixture_seed=mixture_seed), count)
        envs.reset(seed=count)
        return tasks(envs)

    assert set(drawn(3, 40)) == set(MIXTURE)
    assert drawn(3, 40)[:12] == drawn(3, 12) != drawn(4, 12)


@pytest.mark.parametrize("options", [{}, {"mixture_seed": 2}])
def test_restoring_gives_the_same_future(options):
    envs, others = (DecisionEnvs(lambda: make_env(**options), 6) for _ in range(2))
    decisions = envs.reset(seed=1)
    actions = torch.randint(6, (160, 6), generator=torch.manual_seed(0)).tolist()
    for row in actions[:75]:
        decisions = envs.step(row).decisions
    restored = others.restore(envs.state())
    assert [each.text for each in restored] == [each.text for each in decisions]
    for row in actions[75:]:
        one, other = envs.step(row), others.step(row)
        assert [each.text for each in one.decisions] == [each.text for each in other.decisions]
        assert one.rewards.tolist() == other.rewards.tolist()
        assert one.episodes == other.episodes
    assert envs.state() == others.state()


def test_an_evaluation_plays_all_tasks_alike():
    episodes = play(RandomAgent(), make_env, 10, 0.99, seed=0, greedy=False)
    found = summarize(episodes)
    assert {name: each["episodes"] for name, each in found["tasks"].items()} == dict.fromkeys(MIXTURE, 2)
    rates = [each["success_rate"] for each in found["tasks"].values()]
    assert found["success_rate"] == pytest.approx(sum(rates) / 5)


def test_both_weightings():
    """In the time of one long episode two short ones end."""
    episodes = [Episode(task="long", decisions=20), Episode(task="short", decisions=10, success=True, discounted_return=0.5)]
    found = by_task(episodes)
    assert found["success_rate_as_ended"] == pytest.approx(2 / 3)
    assert found["tasks"]["short"] == {"episodes": 1, "success_rate": 1.0, "return_mean": 0.5, "decisions_mean": 10.0}
    assert "tasks" not in summarize([replace(episode, task="") for episode in episodes])


def test_only_a_mixtures_episodes_have_a_column_of_tasks():
    assert list(Episode(task="go_to").row())[-2:] == ["success", "task"]
    assert "task" not in Episode().row()
