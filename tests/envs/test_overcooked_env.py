"""The gymnasium contract, for every task and prompter, and the options."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from overcooked_tools import make, play
from refused import assert_refused

from twosome.envs.overcooked.kitchen import (
    BOWL,
    HAND,
    TASKS,
    Primitive,
    apply,
    bowl_content,
    make_kitchen,
)
from twosome.envs.overcooked.maps import MAPS
from twosome.envs.overcooked.prompts import PROMPTERS
from twosome.errors import UserError

INFO = {"prompt", "action_ids", "action_prompts", "affordances", "state", "duration", "primitive_steps", "success"}
WINNING = ("get tomato", "go to board 1", "chop", "get tomato", "get bowl", "deliver")


@pytest.mark.parametrize("prompt", PROMPTERS)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_and_prompter_passes_the_checker(task, prompt):
    env = make(task=task, prompt=prompt)
    check_env(env, skip_render_check=True)
    size, actions = (18, 5) if task == "tomato_salad" else (26, 8)
    assert env.observation_space.shape == (size,)
    assert env.action_space.n == actions


@settings(max_examples=60)
@given(st.sampled_from(list(TASKS)), st.sampled_from(list(MAPS)), st.integers(0, 3), st.data())
def test_random_walks_keep_the_contract(task, map_name, obs_radius, data):
    env = make(task=task, map=map_name, obs_radius=obs_radius)
    obs, info = env.reset()
    total = 0
    for action in data.draw(st.lists(st.integers(0, env.action_space.n - 1), max_size=60)):
        assert obs in env.observation_space
        assert set(info) == INFO
        assert info["action_ids"] == tuple(range(env.action_space.n))
        assert len(info["action_prompts"]) == env.action_space.n
        assert all(words and words == words.strip() for words in (info["prompt"], *info["action_prompts"]))
        obs, _, terminated, truncated, info = env.step(np.int64(action))
        assert info["duration"] >= 1
        total += info["duration"]
        assert info["primitive_steps"] == total
        assert truncated == (total >= 200 and not terminated)
        if terminated or truncated:
            break


@settings(max_examples=150)
@given(st.sampled_from(list(TASKS)), st.lists(st.integers(0, 3), max_size=200))
def test_primitive_actions_neither_lose_nor_double_anything(task, actions):
    kitchen = make_kitchen(task)
    state = kitchen.start
    for action in actions:
        state, _ = apply(kitchen, state, action)
        assert len(state.places) == len(kitchen.start.places)
        assert state.places.count(HAND) <= 1
        assert state.agent in kitchen.floor
        assert all(place in (HAND, BOWL) or place not in kitchen.floor for place in state.places)
        assert all(state.chops[food] == 3 for food in bowl_content(state))
        assert state.places[kitchen.bowl] != BOWL
        assert apply(kitchen, state, Primitive.STAY)[0] == state


def test_the_same_actions_give_the_same_episode():
    actions = np.random.default_rng(1).integers(8, size=30)
    episodes = []
    for seed in (0, 0, 1):
        env = make(task="tomato_lettuce_salad")
        obs, info = env.reset(seed=seed)
        episode = [(obs.tolist(), info)]
        for action in actions:
            obs, *rest = env.step(action)
            episode.append((obs.tolist(), *rest))
        episodes.append(episode)
    assert episodes[0] == episodes[1] == episodes[2]


def test_an_observation_is_the_callers_to_change():
    env = make()
    env.reset()[0][:] = 5
    assert env.reset()[0].tolist() == [0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 4, 1, 0, 0, 0, 0, 0, 0]


def test_delivery_terminates_and_the_limit_truncates():
    end = play(make(), *WINNING)
    assert (end["terminated"], end["truncated"], end["success"]) == (True, False, True)
    late = play(make(max_primitive_steps=28), *WINNING)
    assert (late["terminated"], late["truncated"], late["success"]) == (True, False, True)
    cut = play(make(max_primitive_steps=21), *WINNING[:5])
    assert (cut["terminated"], cut["truncated"], cut["success"]) == (False, True, False)
    assert cut["primitive_steps"] == 21
    over = play(make(max_primitive_steps=3), *WINNING[:2])
    assert over["truncated"]
    assert over["primitive_steps"] == 7  # the limit is noticed when the macro-action ends


def test_a_step_needs_a_running_episode():
    env = make()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    play(env, *WINNING)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


def test_rewards_are_options_and_discounted_within_the_macro_action():
    options = {"step_penalty": 0.0, "chop_reward": 3.0, "delivery_reward": 5.0, "wrong_delivery_penalty": -7.0}
    env = make(gamma=0.5, **options)
    assert play(env, "get tomato", "go to board 1", "chop")["reward"] == 3.0 * 0.5**2
    assert play(env, "get tomato", "deliver")["reward"] == -7.0 * 0.5**6
    assert play(env, *WINNING)["reward"] == 5.0 * 0.5**6
    lettuce = make(task="lettuce_salad", **options)
    assert play(lettuce, "get tomato", "go to board 1", "chop")["reward"] == 0.0  # not of the recipe


def test_obs_radius_decides_what_is_seen():
    assert play(make(obs_radius=0), "get tomato")["obs"][3:9].tolist() == [6, 5, 1, 0, 3, 0]
    assert play(make(obs_radius=2), "get tomato")["obs"][3:9].tolist() == [0] * 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "tomato_soup"}, "task=tomato_soup"),
        ({"prompt": "defualt"}, "did you mean prompt=default"),
        ({"prompt": "nowhere.at.all:prompter"}, "package.module:function"),
        ({"prompt": "math:nothing"}, "package.module:function"),
        ({"prompt": "math:pi"}, "prompt=math:pi"),
        ({"prompt": 3}, "prompt=3"),
        ({"map": "Z"}, "map=Z"),
        ({"obs_radius": -1}, "obs_radius=-1"),
        ({"obs_radius": 1.5}, "obs_radius=1.5"),
        ({"max_primitive_steps": 0}, "max_primitive_steps=0"),
        ({"gamma": 0.0}, "gamma=0.0"),
        ({"gamma": 1.1}, "gamma=1.1"),
        ({"step_penalty": float("nan")}, "step_penalty=nan"),
        ({"chop_reward": "much"}, "chop_reward=much"),
        ({"render_mode": "svg"}, "render_mode=svg"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*not in the possible render_modes")
def test_a_bad_option_is_named_in_one_line(options, words):
    assert_refused(make, options, words)


@pytest.mark.parametrize("action", [-1, 5])
def test_an_action_out_of_range_is_refused(action):
    env = make()
    env.reset()
    with pytest.raises(UserError, match=f"action={action}: expected"):
        env.step(action)


def test_a_vector_of_environments_restarts_in_the_same_step():
    same_step = gymnasium.vector.AutoresetMode.SAME_STEP
    envs = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.make("twosome/Overcooked-v0", max_primitive_steps=20)] * 2, autoreset_mode=same_step
    )
    start, info = envs.reset(seed=0)
    assert len(set(info["prompt"])) == 1
    for actions in ([0, 3], [3, 3], [0, 3]):  # 2 + 7 + 7 primitive steps; 5 + 1 + 1
        obs, _, terminated, truncated, _ = envs.step(np.array(actions))
        assert not (terminated | truncated).any()
    obs, _, terminated, truncated, info = envs.step(np.array([3, 3]))
    assert truncated.tolist() == [True, False]
    assert not terminated.any()
    assert (obs[0] == start[0]).all()
    assert info["final_info"]["primitive_steps"][0] == 23
    assert info["primitive_steps"].tolist() == [0, 8]
    envs.close()
