"""An optimal play as a list of actions, of environments without chance and with one start."""

from typing import Any, NamedTuple

from twosome.envs.optimum import solve


class BestPlay(NamedTuple):
    """Its discounted return, its actions, its length in primitive steps; the number of states of the environment."""

    value: float
    actions: tuple[int, ...]
    primitive_steps: int
    states: int


def best_play(env: Any, gamma: float) -> BestPlay | None:
    """Up to the end or the first repeated state; None where no optimum is found."""
    [(_, start)] = env.unwrapped.initial_states
    solution = solve(env.unwrapped, gamma, [start])
    if solution is None:
        return None
    best, actions, primitive_steps, state, seen = solution.actions(), [], 0, start, set()
    while state in best and state not in seen:
        seen.add(state)
        actions.append(best[state])
        state, _, duration, terminated = env.unwrapped.transition(state, best[state])
        primitive_steps += duration
        if terminated:
            break
    return BestPlay(float(solution.values[0]), tuple(actions), primitive_steps, len(solution.rows))
