"""The pictures are pictures, and show what happens."""

import numpy as np
import pytest
from virtualhome_tools import FOOD, FUN, TASKS, make, play

from twosome.envs.virtualhome.furniture import FURNITURE
from twosome.envs.virtualhome.scene import load_scene
from twosome.envs.virtualhome.sprites import DEVICES, SPRITES


@pytest.mark.parametrize("task", TASKS)
def test_a_picture_of_every_task(task):
    env = make(task=task, render_mode="rgb_array")
    env.reset()
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.shape == (560, 560, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100


@pytest.mark.parametrize(("task", "actions"), [("food_preparation", FOOD), ("entertainment", FUN)])
def test_pictures_tell_the_states_of_an_episode_apart(task, actions):
    env = make(task=task, render_mode="rgb_array")
    env.reset()
    pictures = [env.render().tobytes()]
    for count in range(1, len(actions) + 1):
        play(env, *actions[:count])
        pictures.append(env.render().tobytes())
    assert len(set(pictures)) == len(pictures)


def test_other_rooms_are_dark():
    env = make(render_mode="rgb_array")
    play(env)
    kitchen = env.render()
    play(env, "walk to the bedroom")
    bedroom = env.render()
    upper_left, lower_right = np.s_[100:200, 150:250], np.s_[300:380, 330:480]
    assert kitchen[upper_left].mean() > bedroom[upper_left].mean() + 30
    assert kitchen[lower_right].mean() < bedroom[lower_right].mean() - 30


def test_everything_has_a_drawing_of_its_own():
    for name, thing in load_scene().things.items():
        drawings = (FURNITURE, DEVICES, SPRITES) if thing.area else (DEVICES, SPRITES)
        assert sum(thing.class_name in drawn for drawn in drawings) == 1, name


def test_text():
    env = make(task="entertainment", render_mode="ansi")
    env.reset()
    assert env.render().splitlines() == [
        "@ kitchen: chips; milk",
        "  bathroom: -",
        "  bedroom: -",
        "  living room: TV; sofa; coffee table",
        "hands: -",
    ]
    play(env, *FUN)
    assert env.render().splitlines()[-2:] == [
        "@ living room: chips on coffee table; TV (on); sofa, close, sat on; coffee table",
        "hands: milk",
    ]
    food = make(render_mode="ansi")
    play(food, *FOOD[:-1])
    assert food.render().splitlines()[0] == "@ kitchen: pancake in microwave, close; microwave (open), close"


def test_no_render_mode_draws_nothing():
    env = make()
    env.reset()
    assert env.render() is None
