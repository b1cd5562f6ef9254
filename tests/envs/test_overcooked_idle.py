"""Actions that do nothing: they change nothing but the time, whatever the wording."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from overcooked_tools import make, names, play
from refused import assert_refused

from twosome.envs.optimum import optimal_return
from twosome.envs.overcooked.idle import IDLE
from twosome.envs.overcooked.prompts import PROMPTERS
from twosome.envs.wording import without_articles

WINNING = ("get tomato", "go to board 1", "chop", "get tomato", "get bowl", "deliver")


def test_words_are_distinct_and_glams_come_first():
    assert len(set(IDLE)) == len(IDLE) == 45
    assert IDLE[:3] == ("sleep", "do nothing", "think")


@pytest.mark.parametrize("prompt", PROMPTERS)
@pytest.mark.parametrize("number", [15, 45])
def test_actions_are_added_behind_the_others(prompt, number):
    env, plain = make(prompt=prompt, idle_actions=number), make(prompt=prompt)
    check_env(env, skip_render_check=True)
    assert env.action_space.n == 5 + number
    info, before = play(env, *WINNING[:2]), play(plain, *WINNING[:2])
    words = tuple(map(without_articles, IDLE)) if prompt == "no_articles" else IDLE
    assert info["action_prompts"] == (*before["action_prompts"], *words[:number])
    assert info["affordances"] == (*before["affordances"], *[0.0] * number)
    assert np.array_equal(info["obs"], before["obs"])


def test_an_idle_action_only_takes_a_step():
    env = make(idle_actions=45)
    before = play(env, *WINNING[:3])
    for number in range(5, 50):
        obs, reward, terminated, _, info = env.step(number)
        assert (reward, info["duration"], terminated, info["success"]) == (-0.001, 1, False, False)
        assert np.array_equal(obs, before["obs"])
        assert (info["state"], info["prompt"], info["action_prompts"]) == tuple(
            before[name] for name in ("state", "prompt", "action_prompts")
        )
    assert names(env)[5:] == list(IDLE)


def test_the_best_play_is_that_without_them():
    assert optimal_return(lambda: make(idle_actions=45), 0.99) == optimal_return(make, 0.99)


@pytest.mark.parametrize("number", [-1, 46, 1.5, True, "many"])
def test_other_numbers_are_refused(number):
    assert_refused(make, {"idle_actions": number}, f"idle_actions={number}: expected a whole number from 0 to 45")
