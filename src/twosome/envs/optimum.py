"""The best discounted return that an environment allows, found by looking at every state it can reach.

It is the line that a learning curve is to be read against. An environment takes part by offering the protocol
`Searchable` on its unwrapped self; nothing else has to be registered.
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
    """What an action does in a state.

    state: the next one. reward: of the whole action, as ``env.step`` returns it. duration: in primitive steps; what
    follows is discounted by ``gamma ** duration``. terminated: whether the episode ends here.
    """

    state: Hashable
    reward: float
    duration: int
    terminated: bool


@runtime_checkable
class Searchable(Protocol):
    """A deterministic environment whose states can be named and tried out without stepping it.

    The state holds everything that decides what actions do, but not the time that is left. The environment's info names
    the present one: ``info["state"]``.
    """

    @property
    def initial_state(self) -> Hashable:
        """The state after any reset."""

    def admissible(self, state: Any) -> Sequence[int]:
        """The ids of the actions that can be chosen in a state, at least one."""

    def transition(self, state: Any, action: int) -> Transition:
        """What an action does in a state; changes nothing in the environment."""


class BestPlay(NamedTuple):
    """The best there is: its discounted return, its actions' ids, its primitive steps, and how many states there are.

    A best play that never ends is told up to the first state that it comes back to.
    """

    value: float
    actions: tuple[int, ...]
    primitive_steps: int
    states: int


@lru_cache(maxsize=8)
def optimal_return(make_env: Callable[[], gymnasium.Env], gamma: float) -> float | None:
    """The best discounted return (gamma per primitive step) from the start, or None where `best_play` finds none.

    A run asks for it several times, and it can take seconds: it is remembered by the maker of its environments.
    """
    env = make_env()
    try:
        best = best_play(env, gamma)
    finally:
        env.close()
    return None if best is None else best.value


def best_play(env: gymnasium.Env, gamma: float) -> BestPlay | None:
    """The best play from the start; None where `solve` finds no solution."""
    solution = solve(env, gamma)
    return None if solution is None else solution.play()


def best_actions(env: gymnasium.Env, gamma: float) -> dict[Hashable, int] | None:
    """The id of a best action in every state that can be reached; None where `solve` finds no solution."""
    solution = solve(env, gamma)
    return None if solution is None else solution.actions()


def solve(env: gymnasium.Env, gamma: float) -> "Solution | None":
    """Value iteration over all states that can be reached, non-terminal ones being worth 0 at first.

    Without the time limit, which can only lower what can be earned where going on never costs more than it brings.
    None where the environment is not `Searchable`, has more than MAX_STATES states, or values that grow for ever.
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
    """What value iteration found.

    numbers: the states'; the initial one is 0. By number: rows, the actions; values, the best discounted returns,
    (states,); choices, a best action's place in its row.
    """

    numbers: dict[Hashable, int]
    rows: list[StateActions]
    values: np.ndarray
    choices: list[int]

    def actions(self) -> dict[Hashable, int]:
        """The best action's id in each state."""
        return {state: self.rows[number][self.choices[number]][0] for state, number in self.numbers.items()}

    def play(self) -> BestPlay:
        """The best actions from the start on."""
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
    """Number the states in the order of discovery, the initial one 0, and try every action in each."""
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
    """Rewards, discounts and following states' numbers, each (states, most actions); missing actions earn -inf."""

    def table(value: Callable[[Transition], float], missing: float) -> np.ndarray:
        columns = zip_longest(*([value(each) for _, each in row] for row in rows), fillvalue=missing)
        return np.array(list(columns)).T

    return (
        table(lambda each: each.reward, -np.inf),
        table(lambda each: 0.0 if each.terminated else gamma**each.duration, 0.0),
        table(lambda each: index.get(each.state, 0), 0),
    )
