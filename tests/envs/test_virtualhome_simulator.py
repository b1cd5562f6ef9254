"""Our states are the simulator's graph: nothing that decides what happens is left out of them."""

import json
from importlib.resources import files

import numpy as np
import pytest
from virtualhome_eval.simulation.evolving_graph.environment import EnvironmentGraph, EnvironmentState, Property, Relation
from virtualhome_eval.simulation.evolving_graph.environment import Room as RoomNames
from virtualhome_eval.simulation.evolving_graph.environment import State as NodeState
from virtualhome_eval.simulation.evolving_graph.execution import ScriptExecutor
from virtualhome_eval.simulation.evolving_graph.scripts import Script, parse_script_line
from virtualhome_tools import TASKS, make

from twosome.envs.virtualhome.scene import graph, load_scene, node_ids
from twosome.envs.virtualhome.task import load_task, make_task, task_names
from twosome.errors import UserError


def raw_facts(state: EnvironmentState, names: dict[int, str]) -> set[tuple[str, ...]]:
    """States and edges as the simulator has them, hands told apart."""
    content = state.to_dict()
    nodes = {(names[node["id"]], value) for node in content["nodes"] for value in node["states"]}
    return nodes | {(names[e["from_id"]], e["relation_type"], names[e["to_id"]]) for e in content["edges"]}


@pytest.mark.parametrize("task", ["food_preparation", "laundry", "entertainment"])
def test_a_long_random_walk_agrees_with_the_bare_simulator(task):
    """The simulator goes on from its own state here, never from one that stands for several."""
    env, scene = make(task=task), load_scene()
    ids = node_ids(scene)
    names = {number: name for name, number in ids.items()}
    base = EnvironmentGraph(graph(scene))
    rng = np.random.default_rng(0)
    state = env.initial_state
    bare = EnvironmentState(base, {}, instance_selection=True)
    for _ in range(400):
        number = int(rng.choice(env.admissible(state)) if rng.random() < 0.8 else rng.integers(env.action_space.n))
        verb, *objects = env.task.actions[number].script
        after = env.transition(state, number).state
        line = " ".join([f"[{verb}]", *(f"<{name}> ({ids[name]})" for name in objects)])
        executed, bare_after = ScriptExecutor(base, {}).execute_one_step(Script([parse_script_line(line, 0)]), bare)
        if env._automaton.outcome(state, number) is not None:
            assert executed
            bare, state = bare_after, after
        found = {tuple("HOLDS" if word in ("HOLDS_RH", "HOLDS_LH") else word for word in fact) for fact in raw_facts(bare, names)}
        assert {fact for fact in found if fact[0] != fact[-1]} == state
        if env.transition(state, number).terminated:
            state, bare = env.initial_state, EnvironmentState(base, {}, instance_selection=True)


def test_the_scene_is_in_the_simulators_vocabulary():
    scene = load_scene()
    content = graph(scene)
    resources = files("virtualhome_eval") / "resources"
    vocabulary = json.loads((resources / "vocabulary.json").read_text())
    known = json.loads((resources / "properties_data_all.json").read_text())
    rooms = {name.lower().replace("_", "") for name in RoomNames.__members__}
    for node in content["nodes"]:
        assert set(node["states"]) <= set(vocabulary["vh_states"]) == set(NodeState.__members__)
        assert set(node["properties"]) <= set(vocabulary["properties"]) <= set(Property.__members__)
        if node["category"] == "Rooms":
            assert node["class_name"] in rooms
        elif node["category"] != "Characters":
            assert sorted(node["properties"]) == sorted(known[node["class_name"]])
            assert ("CLOSED" in node["states"]) == ("CAN_OPEN" in node["properties"])
            assert ("OFF" in node["states"]) == ("HAS_SWITCH" in node["properties"])
    numbers = [node["id"] for node in content["nodes"]]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    for edge in content["edges"]:
        assert edge["relation_type"] in Relation.__members__
        assert {edge["from_id"], edge["to_id"]} <= set(numbers)


def test_the_scene_is_that_of_the_facts():
    things, rooms = load_scene().things, load_scene().rooms
    assert set(rooms) == {"kitchen", "livingroom", "bathroom", "bedroom"}
    assert load_scene().start == "kitchen"
    assert things["pancake"].on == things["milk"].on == "kitchentable"
    assert {"CAN_OPEN", "CONTAINERS", "HAS_SWITCH"} <= set(things["microwave"].properties)
    assert {"HAS_SWITCH", "LOOKABLE"} <= set(things["tv"].properties)
    assert "SURFACES" in things["coffeetable"].properties
    assert "SITTABLE" in things["sofa"].properties
    assert things["sofa"].faces == "tv"
    assert not [name for name, thing in things.items() if thing.on == "sofa"]
    assert {things[name].room for name in ("tv", "sofa", "coffeetable")} == {"livingroom"}
    for name, thing in things.items():
        if thing.area:
            x, y, width, depth = thing.area
            left, top, across, down = rooms[thing.room].area
            assert left <= x < x + width <= left + across, name
            assert top <= y < y + depth <= top + down, name


def test_the_eight_tasks():
    assert set(task_names()) == set(TASKS)


GOOD = {
    "goal": "put the milk on the coffee table",
    "success": ["milk ON coffeetable | character CLOSE milk"],
    "objects": {"milk": "milk", "coffeetable": "coffee table"},
    "actions": {"WALK milk": "walk to the milk", "GRAB milk": "grab the milk"},
}


def test_a_task_is_only_its_file():
    task = make_task("mine", GOOD, load_scene())
    fields = ["see_milk", "close_to_milk", "hold_milk", "see_coffeetable", "close_to_coffeetable"]
    assert [name for name, _ in task.bits][4:] == fields
    assert not task.succeeded(frozenset())
    assert task.succeeded(frozenset({("character", "CLOSE", "milk")}))
    assert task.actions[4:] == ((("WALK", "milk"), "walk to the milk"), (("GRAB", "milk"), "grab the milk"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objects": {"mlik": "milk"}}, "did you mean task=mine: objects=milk?"),
        ({"actions": {"GRAP milk": "grab it"}}, "actions=GRAP"),
        ({"actions": {"PUTBACK milk": "put it"}}, "PUTBACK milk: expected 2"),
        ({"actions": {"GRAB chips": "grab it"}}, "actions=chips"),
        ({"success": ["milk OVER coffeetable"]}, "success=OVER"),
        ({"success": ["milk OPENED"]}, "success=OPENED"),
        ({"success": ["milk"]}, "success: milk: expected"),
        ({"success": ["tv ON"]}, "success=tv"),
        ({"reward": 2}, "expected the fields goal"),
    ],
)
def test_a_bad_task_is_named_in_one_line(change, words):
    with pytest.raises(UserError) as error:
        make_task("mine", GOOD | change, load_scene())
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_task_is_named():
    with pytest.raises(UserError, match="did you mean task=laundry"):
        load_task("laundri")
