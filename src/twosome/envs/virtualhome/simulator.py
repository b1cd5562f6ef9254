"""VirtualHome's own simulator as a pure function of states, with cached results, and the apartment that it runs in.

The simulator is `virtualhome_eval.simulation.evolving_graph`. A step takes about a millisecond. There are few states (62 in food
preparation, 852 in entertainment), so all environments of a process share one cache.
"""

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from virtualhome_eval.simulation.evolving_graph.environment import EnvironmentGraph, EnvironmentState
from virtualhome_eval.simulation.evolving_graph.execution import ScriptExecutor
from virtualhome_eval.simulation.evolving_graph.scripts import Script, parse_script_line
from virtualhome_eval.simulation.evolving_graph.utils import get_visible_nodes, load_properties_data

logging.getLogger("virtualhome_eval").setLevel(logging.WARNING)  # no log line for each refused action

CHARACTER: Final = "character"
HANDS: Final = 2
FIRST_STATES: Final = {"CAN_OPEN": "CLOSED", "HAS_SWITCH": "OFF"}  # by property
ALL_CLASSES: Final = "../../resources/properties_data_all.json"  # the simulator's file that includes Unity's classes

Area = tuple[float, float, float, float]  # x, y, width, depth in metres
Fact = tuple[str, ...]
"""A fact: a node's state, ("tv", "ON"), or an edge, ("pancake", "INSIDE", "microwave")."""
State = frozenset[Fact]
"""VirtualHome's graph: the states of all nodes, and all edges. HOLDS stands for both HOLDS_RH and HOLDS_LH, since no rule
depends on the hand. The simulator's separate list of grabbed objects follows from these facts."""


class Room(NamedTuple):
    """A room. words: its name in prompts. area: on the floor plan. middle: where an agent is drawn that is close to nothing."""

    words: str
    area: Area
    middle: tuple[float, float]


class Thing(NamedTuple):
    """An object: its class, its initial place, its properties in VirtualHome's vocabulary, and the object that it faces."""

    class_name: str
    room: str
    area: Area | None  # None if it lies on something
    on: str | None
    properties: tuple[str, ...]
    faces: str | None


class Scene(NamedTuple):
    """The apartment. rooms and things by name; start: the room where the agent begins."""

    start: str
    rooms: dict[str, Room]
    things: dict[str, Thing]


@lru_cache(maxsize=1)
def load_scene() -> Scene:
    """Return the scene of scene.yaml."""
    content = yaml.safe_load((Path(__file__).parent / "scene.yaml").read_text())
    known = {name: tuple(p.name for p in found) for name, found in load_properties_data(ALL_CLASSES).items()}
    rooms, things = {}, {}
    for room, entry in content["rooms"].items():
        rooms[room] = Room(entry["words"], tuple(entry["area"]), tuple(entry["middle"]))
        for name, facts in entry["things"].items():
            class_name = facts.get("class", name.rstrip("0123456789"))
            area, faces = tuple(facts["area"]), facts.get("faces")
            things[name] = Thing(class_name, room, area, None, known[class_name], faces)
            for held in facts.get("holds", ()):
                things[held] = Thing(held, room, None, name, known[held], None)
    return Scene(content["start"], rooms, things)


def node_ids(scene: Scene) -> dict[str, int]:
    """Return the ids of the graph's nodes by name: the character is 1, then rooms, then things."""
    return {name: number for number, name in enumerate((CHARACTER, *scene.rooms, *scene.things), start=1)}


def graph(scene: Scene) -> dict[str, list[dict[str, Any]]]:
    """Return the scene as VirtualHome's nodes and edges."""
    ids = node_ids(scene)
    nodes = [_node(ids[CHARACTER], CHARACTER, "Characters")]
    nodes += [_node(ids[room], room, "Rooms") for room in scene.rooms]
    edges = [(CHARACTER, "INSIDE", scene.start)]
    for name, thing in scene.things.items():
        nodes.append(_node(ids[name], thing.class_name, "Props" if thing.on else "Furniture", thing.properties))
        edges.append((name, "INSIDE", thing.room))
        if thing.on:
            edges += [(name, "ON", thing.on), (name, "CLOSE", thing.on), (thing.on, "CLOSE", name)]
        if thing.faces:
            edges.append((name, "FACING", thing.faces))
    return {
        "nodes": nodes,
        "edges": [{"from_id": ids[a], "relation_type": relation, "to_id": ids[b]} for a, relation, b in edges],
    }


def _node(number: int, class_name: str, category: str, properties: tuple[str, ...] = ()) -> dict[str, Any]:
    states = [FIRST_STATES[each] for each in properties if each in FIRST_STATES]
    return {"id": number, "class_name": class_name, "category": category, "properties": properties, "states": states}


class Home:
    """The apartment and the outcomes of actions in it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._ids = node_ids(scene)
        self._names = {number: name for name, number in self._ids.items()}
        self._graph = EnvironmentGraph(graph(scene))
        self._simulated: dict[State, EnvironmentState] = {}  # the simulator's graph of every visited state
        self._outcomes: dict[tuple[State, Fact], State | None] = {}
        self._visible: dict[State, frozenset[str]] = {}
        self.start = self._remember(EnvironmentState(self._graph, {}, instance_selection=True))

    def execute(self, state: State, script: Fact) -> State | None:
        """Return the state after a line of script (an action and the names of its objects); None if it is refused.

        In addition to the simulator's preconditions, every object must be in sight, and a switch needs a free hand.
        """
        key = (state, script)
        if key not in self._outcomes:
            self._outcomes[key] = self._execute(state, *script)
        return self._outcomes[key]

    def visible(self, state: State) -> frozenset[str]:
        """Return the names of all rooms, and of what is in the agent's room or hands and not inside anything closed."""
        if state not in self._visible:
            nodes = get_visible_nodes(self._content(state), CHARACTER)["nodes"]
            self._visible[state] = frozenset(node["id"] for node in nodes)
        return self._visible[state]

    def _content(self, state: State) -> dict[str, list[dict[str, Any]]]:
        """Return the graph in the form that `get_visible_nodes` reads, with names as ids.

        If a thing is inside a container and therefore also inside a room, that function uses the edge that comes last.
        """
        rooms = self.scene.rooms
        states: dict[str, list[str]] = {name: [] for name in self._ids}
        edges = []
        for fact in state:
            if len(fact) == 2:
                states[fact[0]].append(fact[1])
            else:
                edges.append({"from_id": fact[0], "relation_type": fact[1], "to_id": fact[2]})
        edges.sort(key=lambda edge: edge["to_id"] not in rooms)
        categories = ((name, "Rooms" if name in rooms else "") for name in self._ids)
        nodes = [{"id": name, "category": category, "states": states[name]} for name, category in categories]
        return {"nodes": nodes, "edges": edges}

    def _execute(self, state: State, action: str, *objects: str) -> State | None:
        if not self.visible(state).issuperset(objects):
            return None
        if action.startswith("SWITCH") and len(held(state)) == HANDS:
            return None
        words = [f"[{action}]", *(f"<{name}> ({self._ids[name]})" for name in objects)]
        script = Script([parse_script_line(" ".join(words), 0)])
        executor = ScriptExecutor(self._graph, {})  # a new one, since an executor stores the reasons of all refusals
        executed, simulated = executor.execute_one_step(script, self._simulated[state])
        return self._remember(simulated) if executed else None

    def _remember(self, simulated: EnvironmentState) -> State:
        state = self._facts(simulated.to_dict())
        self._simulated.setdefault(state, simulated)
        return state

    def _facts(self, content: dict[str, list[dict[str, Any]]]) -> State:
        nodes = {(self._names[node["id"]], value) for node in content["nodes"] for value in node["states"]}
        edges = ((edge["from_id"], edge["relation_type"], edge["to_id"]) for edge in content["edges"])
        names = self._names
        return frozenset(
            # Grabbing something from the floor makes the agent close to itself; such edges are dropped.
            nodes.union((names[a], relation.partition("_")[0], names[b]) for a, relation, b in edges if a != b)
        )


def held(state: State) -> tuple[str, ...]:
    """Return what the agent holds, in alphabetical order."""
    return tuple(sorted(fact[2] for fact in state if fact[1] == "HOLDS"))


@lru_cache(maxsize=1)
def shared_home() -> Home:
    """Return the apartment that all environments of this process share."""
    return Home(load_scene())
