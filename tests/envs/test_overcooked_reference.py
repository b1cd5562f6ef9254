"""The environment is the reference's: its records replay, and an exhaustive search finds the same optima."""

import numpy as np
import pytest
from searching import best_play
from worlds import kitchen as make
from worlds import names, play, records

from twosome.envs.optimum import optimal_return
from twosome.envs.overcooked.kitchen import MAPS, TASKS

RENAMED = {"get plate 1": "get bowl", "go to knife 1": "go to board 1", "go to knife 2": "go to board 2"}
GAMMA = 0.99


@pytest.mark.parametrize("task", ["tomato_salad", "tomato_lettuce_salad"])
def test_records_replay(task):
    env = make(task=task)
    episodes = records(f"overcooked_{task}")
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


@pytest.mark.parametrize(
    ("task", "value", "actions", "primitive_steps", "states"),
    [("tomato_salad", 0.920518, 6, 28, 24), ("tomato_lettuce_salad", 0.947656, 10, 45, 1156)],
)
def test_optimum_is_that_of_the_reference(task, value, actions, primitive_steps, states):
    best = best_play(make(task=task), GAMMA)
    assert best.value == optimal_return(lambda: make(task=task), GAMMA) == pytest.approx(value, abs=1e-6)
    assert (len(best.actions), best.primitive_steps, best.states) == (actions, primitive_steps, states)


@pytest.mark.parametrize("map_name", MAPS)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_can_be_solved_on_every_map(task, map_name):
    env = make(task=task, map=map_name)
    best = best_play(env, GAMMA)
    assert best.value > 0.5
    assert best.primitive_steps < 200
    assert play(env, *(names(env)[action] for action in best.actions))["success"]


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
