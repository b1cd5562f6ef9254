"""Episodes: returns discounted per primitive step, and one row for each that ended."""

import json

import numpy as np
import pytest

from twosome.envs.episode import Episode, EpisodeTracker
from twosome.envs.vector import Step


def step(rewards: list[float], primitive_steps: list[int], terminated: tuple = (), truncated: tuple = ()) -> Step:
    """A step of len(rewards) environments; terminated, truncated: which ones. Terminating is success."""
    ended, cut = (np.isin(range(len(rewards)), which) for which in (terminated, truncated))
    nothing = np.zeros(len(rewards), dtype=int)
    return Step([], np.array(rewards), nothing, np.array(primitive_steps), ended, cut, ended, {})


def test_rewards_are_discounted_by_the_primitive_steps_before_their_decision() -> None:
    episode = Episode()
    for reward, primitive_steps in ((8.0, 2), (4.0, 3), (16.0, 7)):
        episode.add(reward, primitive_steps, gamma=0.5)
    assert episode.discounted_return == 8 + 4 * 0.5**2 + 16 * 0.5**3
    assert episode.raw_return == 28
    assert (episode.decisions, episode.primitive_steps) == (3, 7)


def test_without_discount_both_returns_are_sums() -> None:
    episode = Episode()
    for number in range(1, 5):
        episode.add(number, 3 * number, gamma=1.0)
    assert episode.discounted_return == episode.raw_return == 10


def test_the_tracker_reports_ended_episodes_and_begins_anew() -> None:
    tracker = EpisodeTracker(3, gamma=0.5)
    assert tracker.update(step([1, 2, 3], [1, 2, 3]), env_step=3) == []
    ended = tracker.update(step([4, 4, 4], [2, 4, 6], terminated=(0,), truncated=(2,)), env_step=6)
    assert ended == [
        Episode(6, 0, discounted_return=3, raw_return=5, decisions=2, primitive_steps=2, terminated=True, success=True),
        Episode(6, 2, discounted_return=3.5, raw_return=7, decisions=2, primitive_steps=6),
    ]
    (second,) = tracker.update(step([8, 8, 8], [3, 5, 5], terminated=(0,)), env_step=9)
    assert second == Episode(9, 0, 8.0, 8.0, 1, 3, True, True)  # nothing of the first episode is left
    (first,) = tracker.update(step([0, 16, 0], [1, 9, 9], terminated=(1,), truncated=(1,)), env_step=12)
    assert first.terminated  # its end was its own, whatever the limit said
    assert first.discounted_return == pytest.approx(2 + 4 / 4 + 8 / 16 + 16 / 32)
    assert (first.env, first.decisions, first.primitive_steps) == (1, 4, 9)


def test_a_tracker_goes_on_from_its_state() -> None:
    tracker, resumed = EpisodeTracker(2, 0.9), EpisodeTracker(2, 0.9)
    tracker.update(step([1.5, 2.5], [2, 3]), env_step=2)
    state = tracker.state()
    resumed.restore(json.loads(json.dumps(state)))
    last = step([1, 1], [5, 5], terminated=(0, 1))
    assert resumed.update(last, 4) == tracker.update(last, 4) != EpisodeTracker(2, 0.9).update(last, 4)
    assert state[0]["decisions"] == 1  # a copy: what came later did not change it
