"""Pictures and text of the apartment."""

from collections.abc import Iterable
from math import copysign

import numpy as np
from numpy.typing import NDArray

from twosome.envs.drawing import Picture
from twosome.envs.virtualhome.simulator import CHARACTER, State, held, load_scene
from twosome.envs.virtualhome.task import Task

METRE = 56  # pixels
WALL = 0.08  # half a wall's thickness, in metres
FLOORS = {"kitchen": "#f4ead6", "bathroom": "#d3e8ee", "bedroom": "#e9d7c0", "livingroom": "#e3d3ae"}
FURNITURE, OBJECT, OPEN, ON = "#c99a6b", "#f2b84b", "#3f4a55", "#8fe07f"

Point = tuple[float, float]


def draw(task: Task, state: State) -> NDArray[np.uint8]:
    """Return a picture of the apartment, (height, width, 3); all rooms except the agent's are darkened.

    The task's objects have their names and states; what is open is dark inside, what is on is green.
    """
    scene, in_hand = load_scene(), held(state)
    width = max(room.area[0] + room.area[2] for room in scene.rooms.values())
    depth = max(room.area[1] + room.area[3] for room in scene.rooms.values())
    picture = Picture(width, depth, METRE, "#4b4f5c")
    for name, room in scene.rooms.items():
        x, y, across, down = room.area
        picture.box(x + WALL, y + WALL, across - 2 * WALL, down - 2 * WALL, FLOORS.get(name, "#eeeeee"))
        picture.label(x + across / 2, y + down - 0.3, room.words, 0.25)
    movable = [name for name in task.objects if "GRABBABLE" in scene.things[name].properties]
    furniture = [(thing.area, name) for name, thing in scene.things.items() if thing.area and name not in movable]
    for area, name in sorted(furniture, key=lambda each: -each[0][2] * each[0][3]):  # what stands on the rug after the rug
        picture.box(*area, FURNITURE, "#8a5f45")
        x, y = _centre(area)
        picture.label(x, min(area[1] + 0.15, y), task.objects.get(name, scene.things[name].class_name), 0.14)
    agent = agent_place(state)
    picture.person(*agent)
    for number, name in enumerate(in_hand):
        picture.disc(agent[0] + 0.36 - 0.72 * number, agent[1] + 0.2, 0.2, OBJECT, "#8f6a1f")
        picture.label(agent[0], agent[1] + 0.58 + 0.25 * number, task.objects.get(name, name), 0.19)
    for name in sorted(task.objects, key=movable.__contains__):  # containers first
        if name not in in_hand:
            _draw_object(picture, task, state, name)
    picture.darken(*scene.rooms[_where(state, CHARACTER, scene.rooms)].area)
    return picture.pixels()


def _draw_object(picture: Picture, task: Task, state: State, name: str) -> None:
    """Draw an object of the task that is no furniture, with its name and state; what is inside something open is drawn in it."""
    things = load_scene().things
    thing, (x, y) = things[name], place_of(state, name)
    container = _where(state, name, things)
    if container and (container, "OPEN") not in state:
        return
    if "GRABBABLE" in thing.properties:
        picture.disc(x, y, 0.17 if container else 0.22, OBJECT, "#8f6a1f")
    elif {"CAN_OPEN", "HAS_SWITCH"} & set(thing.properties):
        fill = OPEN if (name, "OPEN") in state else ON if (name, "ON") in state else "#dfe4e8"
        picture.box(x - 0.38, y - 0.3, 0.76, 0.6, fill, "#59636c")
    else:
        return
    picture.label(x, y + (-0.24 if container else 0.42), described(task, state, name), 0.19)


def _centre(area: tuple[float, float, float, float]) -> Point:
    return area[0] + area[2] / 2, area[1] + area[3] / 2


def _where(state: State, name: str, places: Iterable[str], relation: str = "INSIDE") -> str:
    """Return the first place to which something has a relation; "" if there is none."""
    return next((place for place in places if (name, relation, place) in state), "")


def place_of(state: State, name: str) -> Point:
    """Return where a thing is drawn: in a container, beside other things on the same furniture, or where it stands."""
    things = load_scene().things
    thing = things[name]
    if container := _where(state, name, things):
        return place_of(state, container)
    support = _where(state, name, things, "ON")
    area = things[support].area if support else None
    if area is None:
        return _centre(thing.area or things[thing.on or ""].area or load_scene().rooms[thing.room].area)
    # Things that lay there initially keep their places when others are taken away.
    lying = [each for each, other in things.items() if other.on == support or (each, "ON", support) in state]
    x, y, width, depth = area
    share = (lying.index(name) + 0.5) / len(lying)
    return (x + width * share, y + depth / 2) if width >= depth else (x + width / 2, y + depth * share)


def agent_place(state: State) -> Point:
    """Return where the agent is drawn: on its seat, beside the furniture that it is close to, or in the middle of the room."""
    scene = load_scene()
    room = scene.rooms[_where(state, CHARACTER, scene.rooms)]
    near = (name for name, thing in scene.things.items() if thing.area and (CHARACTER, "CLOSE", name) in state)
    name = next(near, "")
    area = scene.things[name].area if name else None
    if area is None:
        return room.middle
    x, y = _centre(area)
    if (CHARACTER, "SITTING") in state and (CHARACTER, "ON", name) in state:
        return x, y - 0.2
    toward_x, toward_y = (middle - at for middle, at in zip(_centre(room.area), (x, y), strict=True))
    if abs(toward_x) / room.area[2] > abs(toward_y) / room.area[3]:
        return x + copysign(area[2] / 2 + 0.4, toward_x), y
    return x, y + copysign(area[3] / 2 + (0.45 if toward_y < 0 else 0.7), toward_y)  # below it, there is a label in between


def described(task: Task, state: State, name: str) -> str:
    """Return an object's words, and whether it is open or on."""
    found = [word for word in ("OPEN", "ON") if (name, word) in state]
    return f"{task.objects[name]}{' (' + ', '.join(found).lower() + ')' if found else ''}"


def write(task: Task, state: State) -> str:
    """Return the apartment as text: a line per room with the task's objects, `@` for the agent's room, then its hands."""
    in_hand = held(state)
    lines = []
    for room, words in task.rooms.items():
        inside = [name for name in task.objects if (name, "INSIDE", room) in state and name not in in_hand]
        here = "@" if (CHARACTER, "INSIDE", room) in state else " "
        lines.append(f"{here} {words}: {'; '.join(_written(task, state, name) for name in inside) or '-'}")
    return "\n".join((*lines, f"hands: {', '.join(task.objects[name] for name in in_hand) or '-'}"))


def _written(task: Task, state: State, name: str) -> str:
    words = described(task, state, name)
    for relation in ("ON", "INSIDE"):
        if place := _where(state, name, task.objects, relation):
            words += f" {'on' if relation == 'ON' else 'in'} {task.objects[place]}"
    for relation, said in (("CLOSE", "close"), ("ON", "sat on")):
        words += f", {said}" if (CHARACTER, relation, name) in state else ""
    return words
