"""The apartment: what is admissible, tasks as files, states as the simulator's graph, and pictures."""

import numpy as np
import pytest
from virtualhome_eval.simulation.evolving_graph.environment import EnvironmentGraph, EnvironmentState
from virtualhome_eval.simulation.evolving_graph.execution import ScriptExecutor
from virtualhome_eval.simulation.evolving_graph.scripts import Script, parse_script_line
from worlds import FOOD, FUN, HOUSEHOLD, home, names, play, states

from twosome.envs.virtualhome.simulator import graph, load_scene, node_ids
from twosome.envs.virtualhome.task import make_task, task_names
from twosome.errors import UserError


@pytest.mark.parametrize("task", ["food_preparation", "entertainment"])
def test_admissible_is_what_is_carried_out_with_an_effect(task):
    """Against a definition of its own: after an action that is not offered, nothing is different that it is about."""
    env = home(task=task)
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


def test_what_is_refused():
    out_of_sight = play(home(), "walk to the bathroom", "walk to the pancake")
    assert (out_of_sight["executed"], out_of_sight["primitive_steps"]) == (False, 2)
    assert out_of_sight["obs"].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    env = home(task="entertainment")
    sitting = play(env, "walk to the living room", "walk to the sofa", "sit on the sofa")
    assert [names(env)[action] for action in sitting["action_ids"]] == ["stand up from the sofa"]
    assert not play(env, *FUN[:5], "walk to the TV", "turn on the TV")["executed"]  # both hands are full
    assert play(env, *FUN[:2], "walk to the living room", "walk to the TV", "turn on the TV")["executed"]


def test_success_terminates_and_the_limit_truncates():
    def end(actions, **options):
        info = play(home(**options), *actions)
        return info["reward"], info["terminated"], info["truncated"], info["success"]

    assert end(FOOD) == end(FOOD, max_primitive_steps=6) == (1.0, True, False, True)
    assert end(FOOD[:5], max_primitive_steps=5) == (0.0, False, True, False)


@pytest.mark.parametrize("task", ["food_preparation", "laundry", "entertainment"])
def test_a_long_random_walk_agrees_with_the_bare_simulator(task):
    """The simulator goes on from its own state here, never from one that stands for several."""
    env, scene = home(task=task), load_scene()
    ids = node_ids(scene)
    things = {number: name for name, number in ids.items()}
    base = EnvironmentGraph(graph(scene))
    rng = np.random.default_rng(0)
    state, bare = env.initial_states[0][1], EnvironmentState(base, {}, instance_selection=True)
    for _ in range(400):
        number = int(rng.choice(env.admissible(state)) if rng.random() < 0.8 else rng.integers(env.action_space.n))
        verb, *objects = env.task.actions[number].script
        line = " ".join([f"[{verb}]", *(f"<{name}> ({ids[name]})" for name in objects)])
        executed, after = ScriptExecutor(base, {}).execute_one_step(Script([parse_script_line(line, 0)]), bare)
        if env._automaton.outcome(state, number) is not None:
            assert executed
            bare, state = after, env.transition(state, number).state
        content = bare.to_dict()
        found = {(things[node["id"]], value) for node in content["nodes"] for value in node["states"]}
        found |= {(things[e["from_id"]], e["relation_type"].partition("_")[0], things[e["to_id"]]) for e in content["edges"]}
        assert {fact for fact in found if fact[0] != fact[-1]} == state  # HOLDS stands for both hands
        if env.task.succeeded(state):
            state, bare = env.initial_states[0][1], EnvironmentState(base, {}, instance_selection=True)


def test_the_scene_is_that_of_the_facts():
    things, rooms = load_scene().things, load_scene().rooms
    assert set(rooms) == {"kitchen", "livingroom", "bathroom", "bedroom"}
    assert load_scene().start == "kitchen"
    assert things["pancake"].on == things["milk"].on == "kitchentable"
    assert {"CAN_OPEN", "CONTAINERS", "HAS_SWITCH"} <= set(things["microwave"].properties)
    assert things["sofa"].faces == "tv"
    assert {things[name].room for name in ("tv", "sofa", "coffeetable")} == {"livingroom"}


GOOD = {
    "goal": "put the milk on the coffee table",
    "success": ["milk ON coffeetable | character CLOSE milk"],
    "objects": {"milk": "milk", "coffeetable": "coffee table"},
    "actions": {"WALK milk": "walk to the milk", "GRAB milk": "grab the milk"},
}


def test_a_task_is_only_its_file():
    assert set(task_names()) == set(HOUSEHOLD)
    task = make_task("mine", GOOD)
    fields = ["see_milk", "close_to_milk", "hold_milk", "see_coffeetable", "close_to_coffeetable"]
    assert [name for name, _ in task.bits][4:] == fields
    assert not task.succeeded(frozenset())
    assert task.succeeded(frozenset({("character", "CLOSE", "milk")}))
    assert task.actions[4:] == ((("WALK", "milk"), "walk to the milk"), (("GRAB", "milk"), "grab the milk"))


@pytest.mark.parametrize(
    "change", [{"objects": {"mlik": "milk"}}, {"actions": {"GRAB mlik": "grab it"}}, {"success": ["mlik ON"]}]
)
def test_an_unknown_object_is_named(change):
    with pytest.raises(UserError, match="task=mine: object=mlik: expected one of"):
        make_task("mine", GOOD | change)


@pytest.mark.parametrize(("task", "actions"), [("food_preparation", FOOD), ("laundry", ()), ("entertainment", FUN)])
def test_pictures_tell_the_states_of_an_episode_apart(task, actions):
    env = home(task=task, render_mode="rgb_array")
    pictures = []
    for count in range(len(actions) + 1):
        play(env, *actions[:count])
        pictures.append(env.render())
    assert (pictures[0].shape, pictures[0].dtype) == ((560, 560, 3), np.uint8)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_other_rooms_are_dark():
    env = home(render_mode="rgb_array")
    play(env)
    kitchen = env.render()
    play(env, "walk to the bedroom")
    upper_left, lower_right = np.s_[100:200, 150:250], np.s_[300:380, 330:480]
    assert kitchen[upper_left].mean() > env.render()[upper_left].mean() + 30
    assert kitchen[lower_right].mean() < env.render()[lower_right].mean() - 30


def test_text():
    env = home(task="entertainment", render_mode="ansi")
    env.reset()
    rooms = ["@ kitchen: chips; milk", "  bathroom: -", "  bedroom: -", "  living room: TV; sofa; coffee table", "hands: -"]
    assert env.render().splitlines() == rooms
    play(env, *FUN)
    assert env.render().splitlines()[-2:] == [
        "@ living room: chips on coffee table; TV (on); sofa, close, sat on; coffee table",
        "hands: milk",
    ]
    food = home(render_mode="ansi")
    play(food, *FOOD[:-1])
    assert food.render().splitlines()[0] == "@ kitchen: pancake in microwave, close; microwave (open), close"
