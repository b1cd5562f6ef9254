"""The pictures are pictures, and show what happens."""

import numpy as np
import pytest
from overcooked_tools import make, play

from twosome.envs.overcooked.kitchen import TASKS
from twosome.envs.overcooked.maps import MAPS


@pytest.mark.parametrize("map_name", MAPS)
@pytest.mark.parametrize("task", ["tomato_salad", "tomato_lettuce_onion_salad"])
def test_a_picture_of_every_kitchen(task, map_name):
    env = make(task=task, map=map_name, render_mode="rgb_array")
    env.reset()
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.shape == (504, 504, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100


def test_pictures_tell_states_apart():
    env = make(render_mode="rgb_array")
    actions = ("get tomato", "go to board 1", "chop", "get tomato", "get bowl", "deliver")
    pictures = []
    for count in range(len(actions) + 1):
        play(env, *actions[:count])
        pictures.append(env.render().tobytes())
    assert len(set(pictures)) == len(pictures)


def test_the_window_is_marked():
    seen, all_seen = (make(render_mode="rgb_array", obs_radius=radius) for radius in (2, 0))
    seen.reset()
    all_seen.reset()
    dark, bright = seen.render(), all_seen.render()
    assert dark[-100:, :100].mean() < bright[-100:, :100].mean() - 20  # out of sight
    assert (dark[90:200, 160:420] == bright[90:200, 160:420]).all()  # in sight


def test_frames_show_every_primitive_step():
    env = make(render_mode="rgb_array")
    env.reset()
    assert len(env.frames()) == 1
    assert play(env, "deliver")["duration"] == len(env.frames()) == 5
    assert (env.frames()[-1] == env.render()).all()


@pytest.mark.parametrize("task", TASKS)
def test_text(task):
    env = make(task=task, render_mode="ansi")
    play(env, "get tomato", "go to board 1", "chop")
    lines = env.render().splitlines()
    assert lines[1][:2] == "t@"
    assert lines[-2:] == ["hand: -", "bowl: -"]
    play(env, "get bowl")
    assert env.render().splitlines()[5:8] == ["#....@#", "#######", "hand: bowl"]


def test_no_render_mode_draws_nothing():
    env = make()
    env.reset()
    assert env.render() is None
