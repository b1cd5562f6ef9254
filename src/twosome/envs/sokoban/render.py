"""Pictures and text of a room."""

import numpy as np
from numpy.typing import NDArray

from twosome.envs.drawing import Picture
from twosome.envs.sokoban.room import State

CELL = 72  # pixels
FLOOR, WALL, TARGET, BOX, PLACED = "#f4ead6", "#6b7280", "#e4572e", "#c8925a", "#6fb98f"


def draw(state: State) -> NDArray[np.uint8]:
    """Return a picture of the room, (height, width, 3): targets are rings, boxes on targets are green."""
    room = state.room
    picture = Picture(room.size, room.size, CELL, WALL)
    for cell in range(room.size**2):
        row, column = divmod(cell, room.size)
        is_floor = cell in room.floor
        picture.box(column, row, 1, 1, FLOOR if is_floor else WALL, None if is_floor else "#4b5563")
        if cell in room.targets:
            picture.disc(column + 0.5, row + 0.5, 0.3, FLOOR, TARGET)
            picture.disc(column + 0.5, row + 0.5, 0.12, TARGET)
        if cell in state.boxes:
            picture.box(column + 0.12, row + 0.12, 0.76, 0.76, PLACED if cell in room.targets else BOX, "#6b4a2b")
            picture.box(column + 0.27, row + 0.27, 0.46, 0.46, None, "#6b4a2b")
        if cell == state.player:
            picture.person(column + 0.5, row + 0.5)
    return picture.pixels()


def write(state: State) -> str:
    """Return the room as text in Sokoban's usual letters.

    `#` wall, `@` player, `$` box, `.` target; `+` is the player on a target, `*` a box on a target.
    """
    room = state.room
    letters = dict.fromkeys(room.floor, " ") | dict.fromkeys(room.targets, ".") | dict.fromkeys(state.boxes, "$")
    letters |= dict.fromkeys(state.boxes & room.targets, "*") | {state.player: "+" if state.player in room.targets else "@"}
    text = "".join(letters.get(cell, "#") for cell in range(room.size**2))
    return "\n".join(text[start : start + room.size] for start in range(0, len(text), room.size))
