"""The exhaustive search for the best return: on Overcooked, and on games small enough to solve by hand."""

import gymnasium
import pytest
from searching import best_play
from worlds import kitchen as make

from twosome.envs import InWords, optimum
from twosome.envs.optimum import OptimalPlay, Transition, optimal_return, searchable, solve


class Game(gymnasium.Env):
    """States are keys of a table: state -> action -> (state, reward, duration, terminated)."""

    def __init__(self, table):
        self.table = table
        self.initial_states = ((1.0, next(iter(table))),)

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


class Lake(InWords):
    """Gymnasium's own lake, whose table of probabilities is known."""

    initial_states = ((1.0, 0),)

    def admissible(self, state):
        return range(4)

    def transition(self, state, action):
        outcomes = self.unwrapped.P[state][action]
        return [(share, Transition(after, reward, 1, ended)) for share, after, reward, ended in outcomes]


def lake(name="4x4"):
    env = gymnasium.make("FrozenLake-v1", map_name=name)
    return Lake(env, ["left", "down", "right", "up"], lambda obs, info, env: "You should go")


@pytest.mark.parametrize(("name", "value"), [("4x4", 0.8235), ("8x8", 1.0)])  # without a limit of steps
def test_the_value_of_the_slippery_lake_is_the_chance_to_reach_the_goal(name, value):
    assert optimal_return(lambda: lake(name), 0.99999) == pytest.approx(value, abs=2e-3)
    assert optimal_return(lambda: gymnasium.make("FrozenLake-v1"), 0.99) is None


def test_chance_and_several_starts_are_weighed():
    class Chance(Game):
        initial_states = ((0.25, "a"), (0.75, "b"))

        def __init__(self):
            pass

        def admissible(self, state):
            return (0, 1) if state == "a" else (0,)

        def transition(self, state, action):
            if state == "b":
                return Transition("end", 2.0, 1, True)
            if action == 0:
                return Transition("end", 0.7, 1, True)
            return [(0.5, Transition("b", 1.0, 2, False)), (0.5, Transition("end", -1.0, 1, True))]

    # from a: 0.7, or 0.5 (1 + 0.5 ** 2 * 2) - 0.5 * 1 = 0.25
    assert optimal_return(Chance, 0.5) == pytest.approx(0.25 * 0.7 + 0.75 * 2)
    assert optimal_return(Chance, 1.0) == pytest.approx(0.25 * 1.0 + 0.75 * 2)
    play = OptimalPlay(Chance(), 1.0)
    assert [play.action("b"), play.action("a")] == [0, 1]  # each is searched from when it is asked for
    assert OptimalPlay(Chance(), 0.5).action("a") == 0


def test_a_wrapper_can_know_the_rules():
    env = gymnasium.wrappers.TimeLimit(lake(), 5)
    game = searchable(env)
    assert isinstance(game, Lake)
    assert solve(game, 0.99, [14]).actions()[14] == 1
    assert searchable(gymnasium.make("CartPole-v1")) is None
