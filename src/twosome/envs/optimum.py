"""Optimal play in an environment whose rules are known, by value iteration over all reachable states.

The optimal discounted return is the upper bound in learning curves. It is computed for environments with the protocol
`Searchable`.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium
import numpy as np

from twosome.envs.check import attribute

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


Outcomes = Transition | Sequence[tuple[float, Transition]]
"""The outcome of an action, or all possible ones with their probabilities."""


@runtime_checkable
class Searchable(Protocol):
    """An environment whose transitions can be computed without stepping it.

    A state determines which actions are admissible, and the probabilities of their outcomes. It does not include the remaining
    time. The current state is ``info["state"]``.

    The attribute ``initial_states`` is optional: pairs of a probability and a state, the distribution of the state after
    ``reset``. Without it, optimal play is known, but not its return.
    """

    def admissible(self, state: Any) -> Sequence[int]:
        """Return the ids of the actions that can be chosen in a state, at least one."""

    def transition(self, state: Any, action: int) -> Outcomes:
        """Return the outcome of an action in a state, or its outcomes with their probabilities; do not change the environment."""


def searchable(env: gymnasium.Env) -> Searchable | None:
    """Return the environment, or the wrapper around it, that is `Searchable`; None if there is none."""
    while not isinstance(env, Searchable):
        if not isinstance(env, gymnasium.Wrapper):
            return None
        env = env.env
    return env


@lru_cache(maxsize=8)
def optimal_return(make_env: Callable[[], gymnasium.Env], gamma: float) -> float | None:
    """Return the mean optimal discounted return (gamma per primitive step) over the initial states.

    None if the environment is not `Searchable`, does not name its initial states, or `solve` finds no solution. It can take
    seconds and is needed several times in a run, so it is cached by make_env.
    """
    env = make_env()
    game, starts = searchable(env), attribute(env, "initial_states", ())
    solution = solve(game, gamma, [state for _, state in starts]) if game and starts else None
    env.close()
    if solution is None:
        return None
    return float(sum(share * solution.values[solution.numbers[state]] for share, state in starts))


class OptimalPlay:
    """Optimal actions by state. What can be reached from a state is searched when the state is first asked for."""

    def __init__(self, game: Searchable, gamma: float) -> None:
        """gamma: discount per primitive step."""
        self.game, self.gamma = game, gamma
        self._best: dict[Hashable, int] = {}

    def action(self, state: Hashable) -> int | None:
        """Return the id of an optimal action in a state; None if `solve` finds no solution."""
        if state not in self._best:
            solution = solve(self.game, self.gamma, [state])
            if solution is None:
                return None
            self._best |= solution.actions()
        return self._best[state]


def solve(game: Searchable, gamma: float, starts: Iterable[Hashable]) -> "Solution | None":
    """Run value iteration over all states that can be reached from some states, with initial values of 0.

    The time limit is ignored. The result is an upper bound of the return with the limit if the value of continuing is never
    negative. Returns None if there are more than MAX_STATES states, or if the values diverge.
    """
    explored = _explore(game, starts)
    if explored is None:
        return None
    numbers, rows = explored
    rewards, discounts, following = _tables(numbers, rows, gamma)
    values = np.zeros(len(rows))
    for _ in range(MAX_SWEEPS):
        action_values = rewards + (discounts * values[following]).sum(axis=2)
        previous, values = values, action_values.max(axis=1)
        if np.abs(values - previous).max() <= TOLERANCE:
            break
    else:
        return None
    choices = (rewards + (discounts * values[following]).sum(axis=2)).argmax(axis=1)
    return Solution(numbers, rows, values, choices.tolist())


StateActions = list[tuple[int, Sequence[tuple[float, Transition]]]]  # a state's actions with their outcomes


class Solution(NamedTuple):
    """The result of value iteration.

    numbers: the number of each state. rows: the actions of each state, by number. values: the optimal discounted returns,
    (states,). choices: the index of an optimal action in each row.
    """

    numbers: dict[Hashable, int]
    rows: list[StateActions]
    values: np.ndarray
    choices: list[int]

    def actions(self) -> dict[Hashable, int]:
        """Return the id of an optimal action in each state."""
        return {state: self.rows[number][self.choices[number]][0] for state, number in self.numbers.items()}


def _explore(game: Searchable, starts: Iterable[Hashable]) -> tuple[dict[Hashable, int], list[StateActions]] | None:
    """Number the states in the order of discovery, and compute every transition.

    Returns None if there are more than MAX_STATES states.
    """
    states = list(dict.fromkeys(starts))
    numbers = {state: number for number, state in enumerate(states)}
    rows: list[StateActions] = []
    for state in states:
        found = [(action, game.transition(state, action)) for action in game.admissible(state)]
        row = [(action, [(1.0, each)] if isinstance(each, Transition) else each) for action, each in found]
        rows.append(row)
        for transition in (each for _, outcomes in row for _, each in outcomes):
            if not transition.terminated and transition.state not in numbers:
                numbers[transition.state] = len(states)
                states.append(transition.state)
        if len(states) > MAX_STATES:
            return None
    return numbers, rows


def _tables(numbers: dict[Hashable, int], rows: list[StateActions], gamma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the expected rewards, (states, actions), and of each outcome the discount and the number of the next state.

    The latter are (states, actions, outcomes); discounts are multiplied by the probability. The reward of missing actions is
    -inf, the discount of missing outcomes 0.
    """
    most_actions = max(map(len, rows))
    most_outcomes = max(len(outcomes) for row in rows for _, outcomes in row)
    rewards = np.full((len(rows), most_actions), -np.inf)
    discounts = np.zeros((len(rows), most_actions, most_outcomes))
    following = np.zeros(discounts.shape, dtype=int)
    for state, row in enumerate(rows):
        for action, (_, outcomes) in enumerate(row):
            rewards[state, action] = sum(probability * each.reward for probability, each in outcomes)
            for place, (probability, each) in enumerate(outcomes):
                if not each.terminated:
                    discounts[state, action, place] = probability * gamma**each.duration
                    following[state, action, place] = numbers[each.state]
    return rewards, discounts, following
