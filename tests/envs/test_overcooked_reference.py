"""The environment is the reference's: its records replay, and an exhaustive search finds the same optima."""

import numpy as np
import pytest
from overcooked_tools import RECORDED_TASKS, make, names, records

from twosome.envs.overcooked.automaton import Automaton, Rewards
from twosome.envs.overcooked.kitchen import TASKS, State, make_kitchen
from twosome.envs.overcooked.maps import MAPS
from twosome.envs.overcooked.prompts import PROMPTERS

RENAMED = {"get plate 1": "get bowl", "go to knife 1": "go to board 1", "go to knife 2": "go to board 2"}
GAMMA = 0.99


@pytest.mark.parametrize("task", RECORDED_TASKS)
def test_records_replay(task):
    env = make(task=task)
    episodes = records(task)
    assert len(episodes) == 40
    for episode in episodes:
        assert [RENAMED.get(name, name) for name in episode["actions"]] == names(env)
        obs, info = env.reset()
        assert obs.tolist() == episode["initial_obs"]
        total = 0.0
        for i, step in enumerate(episode["steps"]):
            before = info["primitive_steps"]
            obs, reward, terminated, truncated, info = env.step(step["action"])
            got = (obs.tolist(), info["duration"], terminated or truncated, info["primitive_steps"])
            assert got == (step["obs"], step["duration"], step["done"], step["primitive_steps"]), i
            assert reward == pytest.approx(step["reward"], abs=1e-9)
            total += GAMMA**before * reward
        assert info["success"] == episode["delivered"] == terminated
        assert total == pytest.approx(episode["episode_return_primitive_discounted"], abs=1e-8)


def best_play(task: str, map_name: str = "A") -> tuple[float, list[str], int]:
    """Value iteration over every state that can be reached: best discounted return, its macro-actions, primitive steps.

    Without the time limit: as more can always be earned by going on, a limit can only lower the optimum.
    """
    automaton = Automaton(make_kitchen(task, map_name), Rewards(), GAMMA, PROMPTERS["default"])
    index: dict[State, int] = {automaton.kitchen.start: 0}
    rows = []
    for state in (states := [automaton.kitchen.start]):
        row = [automaton.outcome(state, action) for action in automaton.action_ids]
        rows.append(row)
        for outcome in row:
            if not outcome.delivered and outcome.state not in index:
                index[outcome.state] = len(states)
                states.append(outcome.state)
    following = np.array([[index.get(outcome.state, 0) for outcome in row] for row in rows])
    rewards = np.array([[outcome.reward for outcome in row] for row in rows])
    discounts = np.array([[0 if outcome.delivered else GAMMA**outcome.duration for outcome in row] for row in rows])
    values, previous = np.zeros(len(states)), np.ones(len(states))
    while np.abs(values - previous).max() > 1e-13:
        values, previous = (rewards + discounts * values[following]).max(axis=1), values
    choice = (rewards + discounts * values[following]).argmax(axis=1)
    at, taken, primitive_steps = 0, [], 0
    while True:
        outcome = rows[at][choice[at]]
        taken.append(automaton.macro_actions[choice[at]].name)
        primitive_steps += outcome.duration
        if outcome.delivered:
            return float(values[0]), taken, primitive_steps
        assert len(taken) < 50, "the best play never delivers: something cannot be reached"
        at = following[at, choice[at]]


@pytest.mark.parametrize(
    ("task", "value", "actions", "primitive_steps"),
    [("tomato_salad", 0.92052, 6, 28), ("tomato_lettuce_salad", 0.94766, 10, 45)],
)
def test_optimum_is_that_of_the_reference(task, value, actions, primitive_steps):
    best, taken, steps = best_play(task)
    assert best == pytest.approx(value, abs=5e-6)
    assert (len(taken), steps) == (actions, primitive_steps)


@pytest.mark.parametrize("map_name", MAPS)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_can_be_solved_on_every_map(task, map_name):
    best, _, steps = best_play(task, map_name)
    assert best > 0.5
    assert steps < 200


def test_random_play_is_as_hard_as_in_the_reference():
    rng = np.random.default_rng(0)
    env = make(task="tomato_salad")
    successes, episodes = 0, 1000
    for _ in range(episodes):
        env.reset()
        over = False
        while not over:
            *_, terminated, truncated, info = env.step(rng.integers(5))
            over = terminated or truncated
        successes += info["success"]
    assert 0.40 < successes / episodes < 0.52


@pytest.mark.parametrize(("task", "fewest", "most"), [("tomato_salad", 21, 21), ("tomato_lettuce_salad", 580, 680)])
def test_distinct_decisions_are_as_few_as_in_the_reference(task, fewest, most):
    rng = np.random.default_rng(0)
    env = make(task=task)
    _, info = env.reset()
    decisions = set()
    for _ in range(20_000):
        decisions.add((info["prompt"], info["action_prompts"]))
        *_, terminated, truncated, info = env.step(rng.integers(env.action_space.n))
        if terminated or truncated:
            _, info = env.reset()
    assert fewest <= len(decisions) <= most
