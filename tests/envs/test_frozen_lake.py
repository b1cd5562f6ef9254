"""FrozenLake: gymnasium's rules, maps of two splits, words that say what is around the agent, the optimum."""

from functools import partial

import gymnasium
import numpy as np
import pytest
from worlds import make

from twosome.agents.bounds import optimal_agent
from twosome.envs.frozen_lake import State, maps
from twosome.envs.optimum import optimal_return
from twosome.evaluation.episodes import play, summarize

lake = partial(make, "FrozenLake")


@pytest.mark.parametrize("task", ["4x4", "8x8"])
@pytest.mark.parametrize("slippery", [True, False])
def test_episodes_are_gymnasiums(task, slippery):
    env = lake(task=task, slippery=slippery, num_maps=20)
    for seed in range(20):
        _, info = env.reset(seed=seed)
        bare = gymnasium.make("FrozenLake-v1", desc=list(info["state"].map), is_slippery=slippery)
        bare.reset()
        bare.unwrapped.np_random = np.random.default_rng()
        bare.unwrapped.np_random.bit_generator.state = env.np_random.bit_generator.state
        random, ended = np.random.default_rng(seed), False
        while not ended:
            action = int(random.choice(info["action_ids"]))
            _, reward, ended, truncated, info = env.step(action)
            at, expected, *_ = bare.step(action)
            assert (info["state"].cell, reward) == (at, expected)
            assert info["success"] == (reward == 1) == (ended and info["state"].tile() == "G")
            assert not truncated


def test_a_map_belongs_to_one_split_and_seeds_give_the_maps():
    for size in (4, 8):
        assert not {*maps(size, "train", 200)} & {*maps(size, "test", 200)}
    env = lake(num_maps=3, split="test")
    drawn = {env.reset(seed=seed)[1]["state"].map for seed in range(30)}
    assert drawn == set(maps(4, "test", 3))
    assert lake(num_maps=None).reset()[1]["state"].map == ("SFFF", "FHFH", "FFFH", "HFFG")


def at(cell, **options):
    """What is said in a cell of gymnasium's own 4 x 4 lake: S F F F / F H F H / F F F H / H F F G."""
    env = lake(num_maps=None, **options)
    env.reset()
    env._state = State(env._state.map, cell)
    return env._decision(1)[1]


def test_the_prompt_says_where_the_holes_and_the_flag_are():
    assert at(0)["prompt"] == (
        "You stand on a frozen lake. There is a hole at the lower right. The flag is 3 steps down and 3 steps to the right. "
        "To reach the flag, you should first"
    )
    assert "There are holes to the left, to the right and at the lower right. The flag is 2 steps down" in at(6)["prompt"]
    assert "There is no hole around you." not in at(2)["prompt"]
    assert at(14, slippery=True)["prompt"].startswith("You stand on a slippery frozen lake. There is a hole at the upper right.")
    assert at(15)["prompt"].startswith("You are at the flag on a frozen lake.")
    assert at(5)["prompt"].startswith("You are in a hole in the ice of a frozen lake.")


def test_actions_lead_where_they_say():
    assert dict(zip(at(6)["action_ids"], at(6)["action_prompts"], strict=True)) == {
        0: "go to the left", 1: "go down", 2: "go to the right", 3: "go up"
    }  # fmt: skip
    assert at(14)["action_prompts"] == ("go to the left", "go to the right to the flag", "go up")
    assert at(14, prompt="no_adaptation")["action_prompts"] == ("go to the left", "go to the right", "go up")
    assert at(8, prompt="explicit")["action_prompts"] == ("go down, into a hole", "go to the right, onto ice", "go up, onto ice")
    edge, flag = at(14, prompt="explicit", slippery=True)["action_prompts"][1:3]
    assert (edge, flag) == ("go down, against the edge", "go to the right, to the flag")
    assert at(14, slippery=True)["affordances"] == (1 / 3, 0, 1 / 3, 1 / 3)


@pytest.mark.parametrize(("options", "value"), [
    ({}, 0.99**5), ({"slippery": True}, 0.542026),  # gymnasium's map at gamma 0.99
    ({"step_penalty": -0.01}, 0.99**5 - 0.01 * (1 - 0.99**6) / 0.01),
])  # fmt: skip
def test_the_optimum_of_gymnasiums_map(options, value):
    assert optimal_return(partial(lake, num_maps=None, **options), 0.99) == pytest.approx(value, abs=1e-6)


def test_optimal_play_earns_the_optimum_of_the_maps():
    make_env = partial(lake, slippery=True, num_maps=5)
    found = summarize(play(optimal_agent(make_env, 0.99, "baseline"), make_env, 1000, 0.99, 0, greedy=False))
    assert found["return_mean"] == pytest.approx(optimal_return(make_env, 0.99), abs=4 * found["return_std"] / 1000**0.5)
    assert 0 < found["success_rate"] < 1


def test_the_picture_follows_the_agent():
    env = lake(render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    env.step(1)
    assert first.shape == env.render().shape == (256, 256, 3)
    assert (first != env.render()).any(axis=2).mean() > 0.02
