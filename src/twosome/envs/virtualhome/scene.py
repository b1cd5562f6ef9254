"""The apartment of scene.yaml, and its graph in VirtualHome's schema."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from virtualhome_eval.simulation.evolving_graph.utils import load_properties_data

CHARACTER: Final = "character"
FIRST_STATES: Final = {"CAN_OPEN": "CLOSED", "HAS_SWITCH": "OFF"}  # by property
ALL_CLASSES: Final = "../../resources/properties_data_all.json"  # the simulator's file that includes Unity's classes
Area = tuple[float, float, float, float]  # x, y, width, depth in metres


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
    doorways: tuple[tuple[float, float], ...]


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
    return Scene(content["start"], rooms, things, tuple(map(tuple, content["doorways"])))


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
