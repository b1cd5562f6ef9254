"""Pictures and text of a kitchen."""

import numpy as np
from numpy.typing import NDArray

from twosome.envs.drawing import Picture
from twosome.envs.overcooked.kitchen import Kitchen, State, bowl_content, held_item, is_chopped

CELL = 72  # pixels
COLOURS = {"tomato": ("#e0483e", "#8f2419"), "lettuce": ("#8fd14f", "#3f8f3a"), "onion": ("#c68bd0", "#7a3f86")}  # and outlines
FLOOR, COUNTER, BOARD, METAL = "#f4ead6", "#b98a5e", "#e8c48a", "#c9d3dc"


def draw(kitchen: Kitchen, state: State) -> NDArray[np.uint8]:
    """Return a picture of the kitchen, (height, width, 3); cells outside the agent's window are darkened."""
    picture = Picture(kitchen.columns, kitchen.rows, CELL, COUNTER)
    for row in range(kitchen.rows):
        for column in range(kitchen.columns):
            floor = (row, column) in kitchen.floor
            picture.box(column, row, 1, 1, FLOOR if floor else COUNTER, None if floor else "#8a5f45")
    for row, column in kitchen.boards:
        picture.box(column + 0.1, row + 0.2, 0.8, 0.6, BOARD, "#8f6a37")
        picture.label(column + 0.5, row + 0.9, "board", 0.15)
    row, column = kitchen.delivery
    picture.box(column + 0.1, row + 0.1, 0.8, 0.8, "#6fb98f", "#2f6b4a")
    picture.label(column + 0.5, row + 0.5, "serve")
    row, column = state.agent
    picture.person(column + 0.5, row + 0.5)
    for item, place in enumerate(state.places):
        if place[0] >= 0:
            _draw_item(picture, place[1] + 0.5, place[0] + 0.45, kitchen, state, item)
            picture.label(place[1] + 0.5, place[0] + 0.9, kitchen.items[item], 0.15)
    if (held := held_item(state)) is not None:
        _draw_item(picture, column + 0.72, row + 0.7, kitchen, state, held)
    if radius := kitchen.obs_radius:
        picture.darken(column - radius, row - radius, 2 * radius + 1, 2 * radius + 1)
    return picture.pixels()


def _draw_item(picture: Picture, x: float, y: float, kitchen: Kitchen, state: State, item: int) -> None:
    """Draw the bowl with its content; or a food, in three pieces once it is chopped, with a dot for each chop."""
    if item == kitchen.bowl:
        picture.disc(x, y, 0.3, METAL, "#5c6a76")
        for number, food in enumerate(sorted(bowl_content(state))):
            picture.disc(x + 0.13 * (number - 1), y, 0.12, *COLOURS[kitchen.foods[food]])
        return
    colours = COLOURS[kitchen.foods[item]]
    if is_chopped(state, item):
        for right, down in ((-0.14, 0.08), (0.14, 0.08), (0, -0.13)):
            picture.disc(x + right, y + down, 0.13, *colours)
        return
    picture.disc(x, y, 0.26, *colours)
    for chop in range(state.chops[item]):
        picture.disc(x - 0.06 + 0.12 * chop, y, 0.05, "#fffaf0")


def write(kitchen: Kitchen, state: State) -> str:
    """Return the kitchen as text: the letters of `MAPS`, `@` for the agent, lower-case letters for chopped foods."""
    letters = dict.fromkeys(kitchen.floor, ".") | dict.fromkeys(kitchen.boards, "/") | {kitchen.delivery: "D"}
    for item, place in enumerate(state.places):
        letters[place] = kitchen.items[item][0] if is_chopped(state, item) else kitchen.items[item][0].upper()
    letters[state.agent] = "@"
    lines = ["".join(letters.get((row, column), "#") for column in range(kitchen.columns)) for row in range(kitchen.rows)]
    held = held_item(state)
    content = ", ".join(kitchen.foods[food] for food in sorted(bowl_content(state)))
    return "\n".join((*lines, f"hand: {'-' if held is None else kitchen.items[held]}", f"bowl: {content or '-'}"))
