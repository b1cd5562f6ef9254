"""Optimal play in an environment, computed by value iteration over all reachable states.

Its discounted return is the upper bound in learning curves. It is computed for environments whose unwrapped object has the
protocol `Searchable`.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium
import numpy as np

MAX_STATES = 50_000
MAX_SWEEPS = 20_000
TOLERANCE = 1e-13


class Transition(NamedTuple):
    """The outcome of an action in a state.

    state: the next state, hashable. reward: of the whole action, as ``env.step`` returns it. duration: in primitive steps; later
    rewards are discounted by ``gamma ** duration``. terminated: whether the episode ends.
    """

    state: Any
    reward: float
    duration: int
    terminated: bool


@runtime_checkable
class Searchable(Protocol):
    """A deterministic environment whose transitions can be computed without stepping it.

    A state determines the outcome of every action. It does not include the remaining time. The current state is
    ``info["state"]``.
    """

    @property
    def initial_state(self) -> Hashable:
        """The state after any reset."""

    def admissible(self, state: Any) -> Sequence[int]:
        """Return the ids of the actions that can be chosen in a state, at least one."""

    def transition(self, state: Any, action: int) -> Transition:
        """Return the outcome of an action in a state, without changing the environment."""


class BestPlay(NamedTuple):
    """An optimal play. value: its discounted return. actions: their ids. primitive_steps: its length. states: how many there are.

    If it never ends, actions and primitive_steps are given up to the first repeated state.
    """

    value: float
    actions: tuple[int, ...]
    primitive_steps: int
    states: int


@lru_cache(maxsize=8)
def optimal_return(make_env: Callable[[], gymnasium.Env], gamma: float) -> float | None:
    """Return the optimal discounted return (gamma per primitive step) from the start, or None if `best_play` finds none.

    It can take seconds and is needed several times in a run, so it is cached by make_env.
    """
    env = make_env()
    try:
        best = best_play(env, gamma)
    finally:
        env.close()
    return None if best is None else best.value


def best_play(env: gymnasium.Env, gamma: float) -> BestPlay | None:
    """Return an optimal play from the start; None if `solve` finds no solution."""
    solution = solve(env, gamma)
    return None if solution is None else solution.play()


def best_actions(env: gymnasium.Env, gamma: float) -> dict[Hashable, int] | None:
    """Return the id of an optimal action in every reachable state; None if `solve` finds no solution."""
    solution = solve(env, gamma)
    return None if solution is None else solution.actions()


def solve(env: gymnasium.Env, gamma: float) -> "Solution | None":
    """Run value iteration over all reachable states, with initial values of 0.

    The time limit is ignored. The result is an upper bound of the return with the limit if the value of continuing is never
    negative. Returns None if the environment is not `Searchable`, has more than MAX_STATES states, or its values diverge.
    """
    game = env.unwrapped
    if not isinstance(game, Searchable):
        return None
    explored = _explore(game)
    if explored is None:
        return None
    index, rows = explored
    rewards, discounts, following = _tables(index, rows, gamma)
    values = np.zeros(len(rows))
    for _ in range(MAX_SWEEPS):
        previous, values = values, (rewards + discounts * values[following]).max(axis=1)
        if np.abs(values - previous).max() <= TOLERANCE:
            break
    else:
        return None
    choices = (rewards + discounts * values[following]).argmax(axis=1)
    return Solution(index, rows, values, choices.tolist())


StateActions = list[tuple[int, Transition]]  # a state's actions


class Solution(NamedTuple):
    """The result of value iteration.

    numbers: the number of each state; the initial one is 0. rows: the actions of each state, by number. values: the optimal
    discounted returns, (states,). choices: the index of an optimal action in each row.
    """

    numbers: dict[Hashable, int]
    rows: list[StateActions]
    values: np.ndarray
    choices: list[int]

    def actions(self) -> dict[Hashable, int]:
        """Return the id of an optimal action in each state."""
        return {state: self.rows[number][self.choices[number]][0] for state, number in self.numbers.items()}

    def play(self) -> BestPlay:
        """Return an optimal play from the initial state."""
        actions, primitive_steps, at, seen = [], 0, 0, set()
        while at not in seen:
            seen.add(at)
            action, transition = self.rows[at][self.choices[at]]
            actions.append(action)
            primitive_steps += transition.duration
            if transition.terminated:
                break
            at = self.numbers[transition.state]
        return BestPlay(float(self.values[0]), tuple(actions), primitive_steps, len(self.rows))


def _explore(game: Searchable) -> tuple[dict[Hashable, int], list[StateActions]] | None:
    """Number the states in the order of discovery, from the initial one (0), and compute every transition.

    Returns None if there are more than MAX_STATES states.
    """
    index: dict[Hashable, int] = {game.initial_state: 0}
    rows: list[StateActions] = []
    for state in (states := [game.initial_state]):
        row = [(action, game.transition(state, action)) for action in game.admissible(state)]
        rows.append(row)
        for _, transition in row:
            if not transition.terminated and transition.state not in index:
                index[transition.state] = len(states)
                states.append(transition.state)
        if len(states) > MAX_STATES:
            return None
    return index, rows


def _tables(index: dict[Hashable, int], rows: list[StateActions], gamma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rewards, discounts and numbers of next states, each (states, actions); the reward of missing actions is -inf."""

    def table(value: Callable[[Transition], float], missing: float) -> np.ndarray:
        columns = zip_longest(*([value(each) for _, each in row] for row in rows), fillvalue=missing)
        return np.array(list(columns)).T

    return (
        table(lambda each: each.reward, -np.inf),
        table(lambda each: 0.0 if each.terminated else gamma**each.duration, 0.0),
        table(lambda each: index.get(each.state, 0), 0),
    )
