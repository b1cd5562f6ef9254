"""The exhaustive search for the best return: on Overcooked, and on games small enough to solve by hand."""

import gymnasium
import pytest
from worlds import kitchen as make

from twosome.envs import optimum
from twosome.envs.optimum import Transition, best_play, optimal_return


class Game(gymnasium.Env):
    """States are keys of a table: state -> action -> (state, reward, duration, terminated)."""

    def __init__(self, table):
        self.table = table
        self.initial_state = next(iter(table))

    def admissible(self, state):
        return sorted(self.table[state])

    def transition(self, state, action):
        return Transition(*self.table[state][action])


def test_what_follows_is_discounted_by_the_duration():
    game = Game({"a": {4: ("b", 1.0, 3, False), 7: ("b", 0.9, 1, False)}, "b": {2: ("end", 10.0, 1, True)}})
    best = best_play(game, 0.5)
    assert best == (0.9 + 0.5 * 10.0, (7, 2), 2, 2)


def test_a_play_that_never_ends_is_reported_once_around():
    game = Game({"a": {0: ("b", 1.0, 1, False), 1: ("end", 0.0, 1, True)}, "b": {0: ("a", 0.0, 1, False)}})
    best = best_play(game, 0.5)
    assert best.value == pytest.approx(1 / (1 - 0.25))
    assert best.actions == (0, 0)


def test_no_optimum_where_none_can_be_found(monkeypatch):
    endless = Game({"a": {0: ("a", 1.0, 1, False)}})
    assert best_play(endless, 0.5).value == pytest.approx(2.0)
    assert best_play(endless, 1.0) is None
    assert optimal_return(lambda: gymnasium.make("CartPole-v1"), 0.99) is None
    monkeypatch.setattr(optimum, "MAX_STATES", 100)
    assert best_play(make(task="tomato_lettuce_salad"), 0.99) is None
