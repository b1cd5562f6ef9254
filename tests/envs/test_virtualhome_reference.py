"""The environment is the reference's: its records replay, and an exhaustive search finds the same optima."""

import pytest
from searching import best_play
from worlds import FOOD, FUN, HOUSEHOLD, names, play, records
from worlds import home as make

GAMMA = 0.95


@pytest.mark.parametrize("task", ["food_preparation", "entertainment"])
def test_records_replay(task):
    """Every step, also those that our list would not offer."""
    env = make(task=task)
    episodes = records(f"virtualhome_{task}")
    assert len(episodes) == 36
    for episode in episodes:
        assert episode["obs_keys"] == list(env.observation_names)
        assert sorted(episode["actions"]) == sorted(names(env))
        obs, info = env.reset()
        assert obs.tolist() == episode["initial_obs"]
        for i, step in enumerate(episode["steps"]):
            action = names(env).index(episode["actions"][step["action"]])
            offered = action in info["action_ids"]
            before = obs
            obs, reward, terminated, truncated, info = env.step(action)
            got = (obs.tolist(), info["executed"], reward, terminated or truncated)
            assert got == (step["obs"], step["executed"], step["reward"], step["done"]), i
            assert info["executed"] or not offered
            assert info["executed"] or obs.tolist() == before.tolist()
        assert info["success"] == episode["success"] == terminated


@pytest.mark.parametrize("task", HOUSEHOLD)
def test_optimum_is_that_of_the_reference(task):
    env = make(task=task)
    best = best_play(env, GAMMA)
    assert len(best.actions) == (11 if task == "entertainment" else 6)
    assert best.value == pytest.approx(GAMMA ** (len(best.actions) - 1))
    assert best.value == pytest.approx(0.5987 if task == "entertainment" else 0.7738, abs=5e-5)
    info = play(env, *(names(env)[action] for action in best.actions))
    assert (info["success"], info["reward"], info["terminated"], info["truncated"]) == (True, 1.0, True, False)


@pytest.mark.parametrize(("task", "actions"), [("food_preparation", FOOD), ("entertainment", FUN)])
def test_the_way_of_the_facts_is_one_of_the_shortest(task, actions):
    env = make(task=task)
    info = play(env, *actions)
    assert info["success"]
    assert best_play(env, GAMMA).value == pytest.approx(GAMMA ** (len(actions) - 1))


def test_with_both_hands_full_no_switch_can_be_used():
    env = make(task="entertainment")
    full = (*FUN[:5], "walk to the TV", "turn on the TV")
    assert not play(env, *full)["executed"]
    assert play(env, *FUN[:2], "walk to the living room", "walk to the TV", "turn on the TV")["executed"]
