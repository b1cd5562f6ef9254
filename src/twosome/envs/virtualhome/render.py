"""Pictures and text of the apartment. Pictures are drawn large and scaled down for smooth edges."""

from collections.abc import Iterable
from functools import lru_cache
from math import ceil, copysign
from pathlib import Path
from typing import Final

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from twosome.envs.brush import Brush, Point, darkened
from twosome.envs.virtualhome.furniture import FURNITURE, block
from twosome.envs.virtualhome.scene import CHARACTER, Area, Scene, Thing, load_scene
from twosome.envs.virtualhome.simulator import State, held
from twosome.envs.virtualhome.sprites import DEVICES, SPRITES, person
from twosome.envs.virtualhome.task import Task

METRE: Final = 56  # pixels in the picture
OVERSAMPLING: Final = 3
WALL: Final = 0.12  # half a wall's thickness
FLOORS: Final = {"kitchen": ("#f4ead6", "#ebdfc6"), "bathroom": ("#dceef2", "#cbe3ea")}  # tiles; elsewhere planks
PLANKS: Final = ("#e3c79f", "#d9ba8f")
WALL_COLOUR: Final = "#4b4f5c"


def draw(scene: Scene, task: Task, state: State) -> NDArray[np.uint8]:
    """Return a picture of the apartment, (height, width, 3); all rooms except the agent's are darkened."""
    image = _background().copy()
    brush = Brush(image, METRE * OVERSAMPLING)
    in_hand = held(state)
    for name, thing in scene.things.items():
        if _is_movable(thing) and name not in in_hand:
            _draw_thing(brush, scene, state, name)
    person(brush.at(*agent_place(scene, state)), sitting=(CHARACTER, "SITTING") in state)
    for hand, name in enumerate(in_hand):
        SPRITES[scene.things[name].class_name](brush.at(*agent_place(scene, state)).shift(0.32 - 0.64 * hand, 0.2, 0.85))
    x, y, width, depth = scene.rooms[_where(state, CHARACTER, scene.rooms)].area
    left, top, right, bottom = (round(edge * METRE) for edge in (x, y, x + width, y + depth))
    image = darkened(image.reduce(OVERSAMPLING), 0.42, (left, top, right, bottom))
    _label(image, scene, task, state)
    return np.array(image)


def _is_movable(thing: Thing) -> bool:
    """Return whether the picture of a thing depends on the state."""
    return thing.class_name in DEVICES or thing.class_name in SPRITES


@lru_cache(maxsize=1)
def _background() -> Image.Image:
    """Return a picture of floors, walls and furniture, which never change."""
    scene, size = load_scene(), METRE * OVERSAMPLING
    width = max(room.area[0] + room.area[2] for room in scene.rooms.values())
    depth = max(room.area[1] + room.area[3] for room in scene.rooms.values())
    image = Image.new("RGB", (round(width * size), round(depth * size)), WALL_COLOUR)
    brush = Brush(image, size)
    for name, room in scene.rooms.items():
        _draw_floor(brush, name, room.area)
    for x, y in scene.doorways:
        upright = any(x in (room.area[0], room.area[0] + room.area[2]) for room in scene.rooms.values())
        brush.at(x, y).box(0, 0, WALL if upright else 0.45, 0.45 if upright else WALL, PLANKS[0])
    for thing in sorted(scene.things.values(), key=lambda thing: thing.class_name not in ("rug", "mat")):  # rugs and mats first
        if thing.area is not None and not _is_movable(thing):
            brush.at(*_centre(thing.area))
            FURNITURE.get(thing.class_name, block)(brush, thing.area[2] / 2, thing.area[3] / 2)
    return image


def _draw_floor(brush: Brush, name: str, area: Area) -> None:
    """Draw tiles of half a metre, or planks."""
    x, y, width, depth = area
    left, top, right, bottom = x + WALL, y + WALL, x + width - WALL, y + depth - WALL
    tiles = FLOORS.get(name)
    step = 0.5 if tiles else 0.35
    for row in range(ceil((bottom - top) / step)):
        for column in range(ceil((right - left) / step) if tiles else 1):
            x0, y0 = left + column * step, top + row * step
            x1, y1 = min(x0 + step, right) if tiles else right, min(y0 + step, bottom)
            colour = (tiles or PLANKS)[(row + column) % 2]
            brush.at((x0 + x1) / 2, (y0 + y1) / 2).box(0, 0, (x1 - x0) / 2, (y1 - y0) / 2, colour)


def _centre(area: Area) -> Point:
    return area[0] + area[2] / 2, area[1] + area[3] / 2


def _where(state: State, name: str, places: Iterable[str], relation: str = "INSIDE") -> str:
    """Return the first place to which something has a relation; "" if there is none."""
    return next((place for place in places if (name, relation, place) in state), "")


def place_of(scene: Scene, state: State, name: str) -> Point:
    """Return where a thing is drawn: in a container, beside other things on the same furniture, or in the agent's hand."""
    thing = scene.things[name]
    if (CHARACTER, "HOLDS", name) in state:
        return agent_place(scene, state)
    container = _where(state, name, scene.things)
    if container:
        return place_of(scene, state, container)
    support = _where(state, name, scene.things, "ON")
    if not support or scene.things[support].area is None:
        return _centre(thing.area or scene.things[thing.on or ""].area or scene.rooms[thing.room].area)
    # Things that lay there initially keep their places when others are taken away.
    lying = [each for each, other in scene.things.items() if other.on == support or (each, "ON", support) in state]
    x, y, width, depth = scene.things[support].area or (0, 0, 0, 0)
    share = (lying.index(name) + 0.5) / len(lying)
    return (x + width * share, y + depth / 2) if width >= depth else (x + width / 2, y + depth * share)


def agent_place(scene: Scene, state: State) -> Point:
    """Return where the agent is drawn: on its seat, beside the furniture that it is close to, or in the middle of the room."""
    room = scene.rooms[_where(state, CHARACTER, scene.rooms)]
    near = [name for name in scene.things if (CHARACTER, "CLOSE", name) in state and (CHARACTER, "HOLDS", name) not in state]
    areas = [(name, area) for name in near if (area := scene.things[name].area) is not None]
    if not areas:
        return room.middle
    name, (left, top, width, depth) = areas[0]
    x, y = _centre((left, top, width, depth))
    if (CHARACTER, "SITTING") in state and (CHARACTER, "ON", name) in state:
        return x - 0.1, y - 0.1
    toward_x, toward_y = room.area[0] + room.area[2] / 2 - x, room.area[1] + room.area[3] / 2 - y
    if abs(toward_x) / room.area[2] > abs(toward_y) / room.area[3]:
        return x + copysign(width / 2 + 0.38, toward_x), y
    return x, y + copysign(depth / 2 + (0.42 if toward_y < 0 else 0.72), toward_y)  # below it, there is a label in between


def _draw_thing(brush: Brush, scene: Scene, state: State, name: str) -> None:
    """Draw a device, with its content if it is open; or a thing that can be carried and is not inside anything."""
    class_name, is_open = scene.things[name].class_name, (name, "OPEN") in state
    place = place_of(scene, state, name)
    if class_name in DEVICES:
        DEVICES[class_name](brush.at(*place), is_open, (name, "ON") in state)
        for inside in scene.things:
            if is_open and (inside, "INSIDE", name) in state:
                SPRITES[scene.things[inside].class_name](brush.at(*place, 0.75))
    elif not _where(state, name, scene.things):
        SPRITES[class_name](brush.at(*place))


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which is part of matplotlib, so that pictures are the same on every machine."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"), size)


def _label(image: Image.Image, scene: Scene, task: Task, state: State) -> None:
    """Write the names of the rooms, and those of the task's objects with their states."""
    pen = ImageDraw.Draw(image, "RGBA")
    for room in scene.rooms.values():
        x, y, _, depth = room.area
        _tag(pen, (x + 0.2) * METRE, (y + depth - 0.5) * METRE, room.words, 14, anchor="la")
    for name in task.objects:
        if (CHARACTER, "HOLDS", name) not in state and not _where(state, name, scene.things):
            x, y = place_of(scene, state, name)
            area = scene.things[name].area
            below = y + (min(area[3] / 2, 0.6) if area else 0.3)
            _tag(pen, x * METRE, (below + 0.02) * METRE, described(task, state, name), 11, anchor="ma")


def _tag(pen: ImageDraw.ImageDraw, x: float, y: float, text: str, size: int, anchor: str) -> None:
    """Write words on a light background. anchor: the meaning of x, y: "la", upper left corner; "ma", middle of the upper edge."""
    if anchor == "ma":  # keep it inside the picture
        half = pen.textlength(text, _font(size)) / 2 + 6
        x = min(max(x, half), pen.im.size[0] - half)
    left, top, right, bottom = pen.textbbox((x, y), text, font=_font(size), anchor=anchor)
    pen.rounded_rectangle((left - 4, top - 2, right + 4, bottom + 2), 4, fill=(255, 253, 247, 215))
    pen.text((x, y), text, fill="#2b3347", font=_font(size), anchor=anchor)


def described(task: Task, state: State, name: str) -> str:
    """Return an object's words, and whether it is open or on."""
    found = [word for word in ("OPEN", "ON") if (name, word) in state]
    return f"{task.objects[name]}{' (' + ', '.join(found).lower() + ')' if found else ''}"


def write(scene: Scene, task: Task, state: State) -> str:
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
