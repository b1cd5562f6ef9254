"""The kitchen: its rules, rewards, affordances, idle actions and pictures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import SALAD, kitchen, names, play, states

from twosome.envs.optimum import optimal_return
from twosome.envs.options import without_articles
from twosome.envs.overcooked.env import observe
from twosome.envs.overcooked.kitchen import BOWL, FOODS, HAND, MAPS, STAY, TASKS, apply, bowl_content, make_kitchen
from twosome.envs.overcooked.macro_actions import IDLE

TWO_TASKS = pytest.mark.parametrize("task", ["tomato_salad", "tomato_lettuce_salad"])


@settings(max_examples=150)
@given(st.sampled_from(list(TASKS)), st.sampled_from(list(MAPS)), st.lists(st.integers(0, 3), max_size=200))
def test_primitive_actions_neither_lose_nor_double_anything(task, layout, actions):
    room = make_kitchen(task, layout)
    state = room.start
    for action in actions:
        state, _ = apply(room, state, action)
        assert len(state.places) == len(room.start.places)
        assert state.places.count(HAND) <= 1
        assert state.agent in room.floor
        assert all(place in (HAND, BOWL) or place not in room.floor for place in state.places)
        assert all(state.chops[food] == 3 for food in bowl_content(state))
        assert state.places[room.bowl] != BOWL
        assert apply(room, state, STAY)[0] == state


def test_delivery_terminates_and_the_limit_truncates():
    def end(actions, **options):
        info = play(kitchen(**options), *actions)
        return info["terminated"], info["truncated"], info["success"], info["primitive_steps"]

    assert end(SALAD) == end(SALAD, max_primitive_steps=28) == (True, False, True, 28)
    assert end(SALAD[:5], max_primitive_steps=21) == (False, True, False, 21)
    assert end(SALAD[:2], max_primitive_steps=3) == (False, True, False, 7)  # noticed when the macro-action ends


def test_rewards_are_options_and_discounted_within_the_macro_action():
    options = {"step_penalty": 0.0, "chop_reward": 3.0, "delivery_reward": 5.0, "wrong_delivery_penalty": -7.0}
    env = kitchen(gamma=0.5, **options)
    assert play(env, "get tomato", "go to board 1", "chop")["reward"] == 3.0 * 0.5**2
    assert play(env, "get tomato", "deliver")["reward"] == -7.0 * 0.5**6
    assert play(env, *SALAD)["reward"] == 5.0 * 0.5**6
    lettuce = kitchen(task="lettuce_salad", **options)
    assert play(lettuce, "get tomato", "go to board 1", "chop")["reward"] == 0.0  # not of the recipe


class Seen:
    """A state as the full observation shows it: an item is carried where it is in the agent's own cell."""

    def __init__(self, full, state):
        foods = len(full.kitchen.foods)
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
@pytest.mark.parametrize("layout", MAPS)
@TWO_TASKS
def test_affordances_are_what_happens(task, layout, obs_radius):
    options = {"task": task, "map": layout}
    env, full = kitchen(**options, obs_radius=obs_radius), kitchen(**options, obs_radius=0)
    seen = set()
    for state in states(env):
        affordances = env._automaton.view(state).affordances
        assert any(affordances)
        for action, name in enumerate(names(env)):
            after = env.transition(state, action).state
            assert affordances[action] == happened(name, Seen(full, state), Seen(full, after)), (state, name)
            seen.add((name, affordances[action]))
    assert seen == {(name, found) for name in names(env) for found in (0.0, 1.0)}


@pytest.mark.parametrize("prompt", ["default", "no_articles", "explicit"])
@pytest.mark.parametrize("number", [15, 45])
def test_idle_actions_are_added_behind_the_others_and_only_take_a_step(prompt, number):
    env, plain = kitchen(prompt=prompt, idle_actions=number), kitchen(prompt=prompt)
    assert env.action_space.n == 5 + number
    assert names(env)[5:] == list(IDLE[:number])
    info, before = play(env, *SALAD[:2]), play(plain, *SALAD[:2])
    words = tuple(map(without_articles, IDLE)) if prompt == "no_articles" else IDLE
    assert info["action_prompts"] == (*before["action_prompts"], *words[:number])
    assert info["affordances"] == (*before["affordances"], *[0.0] * number)
    for action in range(5, 5 + number):
        obs, reward, terminated, _, after = env.step(action)
        assert (reward, after["duration"], terminated, after["success"]) == (-0.001, 1, False, False)
        assert np.array_equal(obs, before["obs"])
        assert (after["state"], after["prompt"]) == (before["state"], before["prompt"])


def test_idle_actions_are_distinct_begin_with_glams_and_change_no_optimum():
    assert len(set(IDLE)) == len(IDLE) == 45
    assert IDLE[:3] == ("sleep", "do nothing", "think")
    assert optimal_return(lambda: kitchen(idle_actions=45), 0.99) == optimal_return(kitchen, 0.99)


@TWO_TASKS
def test_pictures_tell_states_apart_and_mark_the_window(task):
    for layout in MAPS:
        env = kitchen(task=task, map=layout, render_mode="rgb_array")
        pictures = []
        for count in range(len(SALAD)):
            play(env, *SALAD[:count])
            pictures.append(env.render())
        assert (pictures[0].shape, pictures[0].dtype) == ((504, 504, 3), np.uint8)
        assert len({picture.tobytes() for picture in pictures}) == len(SALAD)
    seen, all_seen = (kitchen(task=task, render_mode="rgb_array", obs_radius=radius) for radius in (2, 0))
    seen.reset()
    all_seen.reset()
    dark, bright = seen.render(), all_seen.render()
    assert dark[-100:, :100].mean() < bright[-100:, :100].mean() - 20  # out of sight
    assert (dark[90:200, 160:420] == bright[90:200, 160:420]).all()  # in sight


def test_frames_show_every_primitive_step():
    env = kitchen(render_mode="rgb_array")
    env.reset()
    assert len(env.frames()) == 1
    assert play(env, "deliver")["duration"] == len(env.frames()) == 5
    assert (env.frames()[-1] == env.render()).all()


@pytest.mark.parametrize("task", TASKS)
def test_text(task):
    env = kitchen(task=task, render_mode="ansi")
    play(env, *SALAD[:3])
    assert env.render().splitlines()[1][:2] == "t@"
    assert env.render().splitlines()[-2:] == ["hand: -", "bowl: -"]
    play(env, *SALAD[:3], "get bowl")
    assert env.render().splitlines()[5:8] == ["#....@#", "#######", "hand: bowl"]
