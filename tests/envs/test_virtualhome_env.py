"""The gymnasium contract, for every task and prompter, and the options."""

import time

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from refused import assert_refused
from virtualhome_tools import FOOD, TASKS, make, phrases, play, states

from twosome.envs.optimum import Searchable
from twosome.envs.resumable import Resumable
from twosome.envs.virtualhome.prompts import PROMPTERS
from twosome.errors import UserError

INFO = {"prompt", "action_ids", "action_prompts", "affordances", "state", "executed", "duration", "primitive_steps", "success"}


@pytest.mark.parametrize("prompt", PROMPTERS)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_and_prompter_passes_the_checker(task, prompt):
    env = make(task=task, prompt=prompt)
    check_env(env, skip_render_check=True)
    size, actions = (21, 17) if task == "entertainment" else (11, 10)
    assert env.observation_space.shape == (size,) == (len(env.observation_names),)
    assert env.action_space.n == actions
    assert isinstance(env, Searchable)


@settings(max_examples=40)
@given(st.sampled_from(TASKS), st.data())
def test_random_walks_keep_the_contract(task, data):
    env = make(task=task)
    obs, info = env.reset()
    for steps, action in enumerate(data.draw(st.lists(st.integers(0, env.action_space.n - 1), max_size=60)), start=1):
        assert obs in env.observation_space
        assert set(obs.tolist()) <= {0.0, 1.0}
        assert set(info) == INFO
        assert 0 < len(info["action_ids"]) == len(info["action_prompts"]) == len(info["affordances"])
        assert all(words and words == words.strip() for words in (info["prompt"], *info["action_prompts"]))
        assert len(set(info["action_prompts"])) == len(info["action_prompts"])
        before = info
        obs, reward, terminated, truncated, info = env.step(np.int64(action))
        assert (info["duration"], info["primitive_steps"]) == (1, steps)
        assert truncated == (steps >= 50 and not terminated)
        assert reward == terminated == info["success"]
        assert info["executed"] or info["state"] == before["state"]
        assert info["executed"] or action not in before["action_ids"]
        if terminated or truncated:
            break


@pytest.mark.parametrize("task", ["food_preparation", "entertainment"])
def test_admissible_is_what_is_carried_out_with_an_effect(task):
    """Against a definition of its own: after an action that is not offered, nothing is different that it is about."""
    env = make(task=task)
    rooms = set(env.task.rooms)
    for state in states(env):
        offered = set(env.admissible(state))
        assert offered
        for number, action in enumerate(env.task.actions):
            verb, *objects = action.script
            after = env._automaton.outcome(state, number)
            if after is None:
                assert number not in offered
            elif verb == "WALK" and objects[0] in rooms:
                assert (number in offered) == (("character", "INSIDE", objects[0]) not in state)
            elif verb == "WALK":
                assert (number in offered) == (("character", "CLOSE", objects[0]) not in state)
            else:
                assert number in offered


def test_out_of_sight_is_refused():
    env = make()
    assert not play(env, "walk to the bathroom", "walk to the pancake")["executed"]
    assert play(env, "walk to the bathroom")["obs"].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    info = play(make(task="entertainment"), "walk to the TV")
    assert (info["executed"], info["primitive_steps"]) == (False, 1)


def test_while_sitting_nobody_walks():
    env = make(task="entertainment")
    info = play(env, "walk to the living room", "walk to the sofa", "sit on the sofa")
    assert [phrases(env)[action] for action in info["action_ids"]] == ["stand up from the sofa"]


def test_success_terminates_and_the_limit_truncates():
    end = play(make(), *FOOD)
    assert (end["reward"], end["terminated"], end["truncated"], end["success"]) == (1.0, True, False, True)
    late = play(make(max_primitive_steps=6), *FOOD)
    assert (late["terminated"], late["truncated"]) == (True, False)
    cut = play(make(max_primitive_steps=5), *FOOD[:5])
    assert (cut["reward"], cut["terminated"], cut["truncated"], cut["success"]) == (0.0, False, True, False)


def test_a_step_needs_a_running_episode():
    env = make()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    play(env, *FOOD)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


def test_an_observation_is_the_callers_to_change():
    env = make()
    env.reset()[0][:] = 5
    assert env.reset()[0].tolist() == [1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "food_preperation"}, "did you mean task=food_preparation"),
        ({"prompt": "defualt"}, "did you mean prompt=default"),
        ({"prompt": "nowhere.at.all:prompter"}, "package.module:function"),
        ({"max_primitive_steps": 0}, "max_primitive_steps=0"),
        ({"render_mode": "svg"}, "render_mode=svg"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*not in the possible render_modes")
def test_a_bad_option_is_named_in_one_line(options, words):
    assert_refused(make, options, words)


@pytest.mark.parametrize("action", [-1, 10])
def test_an_action_out_of_range_is_refused(action):
    env = make()
    env.reset()
    with pytest.raises(UserError, match=f"action={action}: expected"):
        env.step(action)


def test_a_vector_of_environments_restarts_in_the_same_step():
    same_step = gymnasium.vector.AutoresetMode.SAME_STEP
    envs = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.make("twosome/VirtualHome-v0", max_primitive_steps=8)] * 2, autoreset_mode=same_step
    )
    start, info = envs.reset(seed=0)
    assert len(set(info["prompt"])) == 1
    ids = [phrases(make()).index(phrase) for phrase in FOOD]
    for action in ids[:5]:
        obs, _, terminated, truncated, _ = envs.step(np.array([action, 0]))
        assert not (terminated | truncated).any()
    obs, rewards, terminated, truncated, info = envs.step(np.array([ids[5], 0]))
    assert rewards.tolist() == [1.0, 0.0]
    assert terminated.tolist() == [True, False]
    assert (obs[0] == start[0]).all()
    assert info["final_info"]["success"].tolist() == [True, False]
    assert info["primitive_steps"].tolist() == [0, 6]
    envs.close()


def test_restoring_gives_the_same_future():
    env, other = Resumable(make(task="entertainment")), Resumable(make(task="entertainment"))
    env.reset(seed=1)
    rng = np.random.default_rng(2)
    for action in rng.integers(17, size=20):
        env.step(action)
    _, info = other.restore(env.state())
    assert info["primitive_steps"] == 20
    for action in rng.integers(17, size=20):
        mine, theirs = env.step(action), other.step(action)
        assert mine[0].tolist() == theirs[0].tolist()
        assert mine[1:] == theirs[1:]


def test_steps_are_fast_once_met():
    """The issue asks for 1,500 steps/s; a hundred times that is usual, so a busy machine does no harm."""
    env = make(task="entertainment")
    rng = np.random.default_rng(0)
    _, info = env.reset()
    for timed in (False, True):
        began = time.process_time()
        for _ in range(3_000):
            *_, terminated, truncated, info = env.step(info["action_ids"][rng.integers(len(info["action_ids"]))])
            if terminated or truncated:
                _, info = env.reset()
        if timed:
            assert 3_000 / (time.process_time() - began) > 1_500
