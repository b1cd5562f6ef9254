"""Affordances against what really happens: every action's effect, read off the full observation before and after it."""

import numpy as np
import pytest
from overcooked_tools import make, names

from twosome.envs.optimum import best_play
from twosome.envs.overcooked.automaton import observe
from twosome.envs.overcooked.kitchen import FOODS


class Seen:
    """A state as the full observation shows it: an item is carried where it is in the agent's own cell."""

    def __init__(self, full, state):
        foods = 1 if full.kitchen.is_small else 3
        values = observe(full.kitchen, state).astype(int).tolist()
        self.chops = [values[3 * food + 2] for food in range(foods)]
        cells = [tuple(values[3 * food : 3 * food + 2]) for food in range(foods)]
        rest = values[3 * foods : -7]
        bowl, *boards, _, self.agent = zip(rest[::2], rest[1::2], strict=True)
        items = dict(zip((*FOODS[:foods], "bowl"), (*cells, bowl), strict=True))
        self.carried = {name for name, cell in items.items() if cell == self.agent}
        self.reached = {number for number, board in enumerate(boards, 1) if np.abs(np.subtract(board, self.agent)).sum() == 1}


def happened(action: str, before: Seen, after: Seen) -> bool:
    """Whether a macro-action, by name, did what it is for."""
    *_, target = action.split()
    if action.startswith("get"):
        return target in after.carried - before.carried
    if action == "chop":
        return sum(after.chops) > sum(before.chops)
    if before.carried:
        return after.carried != before.carried
    return action != "deliver" and int(target) in after.reached - before.reached


@pytest.mark.parametrize("obs_radius", [0, 2])
@pytest.mark.parametrize("layout", ["A", "B", "C"])
@pytest.mark.parametrize("task", ["tomato_salad", "tomato_lettuce_salad"])
def test_affordances_are_what_happens(task, layout, obs_radius):
    options = {"task": task, "map": layout}
    env, full = make(**options, obs_radius=obs_radius), make(**options, obs_radius=0)
    random, seen = np.random.default_rng(0), set()
    _, info = env.reset()
    for _ in range(6_000):
        action = int(random.integers(env.action_space.n))
        found, before = info["affordances"][action], info["state"]
        _, _, terminated, truncated, info = env.step(action)
        assert found == happened(names(env)[action], Seen(full, before), Seen(full, info["state"])), (
            before,
            names(env)[action],
        )
        seen.add((names(env)[action], found))
        if terminated or truncated:
            _, info = env.reset()
    assert seen == {(name, found) for name in names(env) for found in (0.0, 1.0)}


@pytest.mark.parametrize("task", ["tomato_salad", "tomato_lettuce_salad"])
def test_no_state_is_without_a_possible_action(task):
    env = make(task=task)
    states = [env.initial_state]
    for state in states:
        assert any(env._automaton.view(state).affordances)
        states += {env.transition(state, action).state for action in env.admissible(state)} - set(states)
    assert len(states) >= best_play(env, 0.99).states


def test_the_best_play_is_possible_all_the_way():
    env = make(task="tomato_lettuce_salad")
    _, info = env.reset()
    for action in best_play(env, 0.99).actions:
        assert info["affordances"][action] == 1.0
        assert info["state"] == env._state
        *_, info = env.step(action)
    assert info["success"]
