"""Pictures and text of a kitchen. Pictures are drawn large and scaled down for smooth edges."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from twosome.envs.brush import OUTLINE, Brush, darkened
from twosome.envs.overcooked import sprites
from twosome.envs.overcooked.kitchen import (
    CHOPS_NEEDED,
    Cell,
    Kitchen,
    State,
    bowl_content,
    held_item,
    is_chopped,
    item_at,
)

CELL: Final = 72  # pixels in the picture
OVERSAMPLING: Final = 3
FLOOR = ("#f4ead6", "#ebdfc6")
COUNTER, COUNTER_TOP, COUNTER_EDGE = "#8a5f45", "#c99a6b", "#a97b52"


def draw(kitchen: Kitchen, state: State) -> NDArray[np.uint8]:
    """Return a picture of the kitchen, (height, width, 3); cells outside the agent's window are darkened."""
    image = _background(kitchen).copy()
    brush = Brush(image, CELL * OVERSAMPLING)
    for item, place in enumerate(state.places):
        if place[0] >= 0:
            brush.at(*_centre(place), 0.88 if place in kitchen.boards else 1.0)
            _draw_item(brush, kitchen, state, item)
            if place in kitchen.boards:
                _draw_chops(brush.at(*_centre(place)), kitchen, state, item)
    sprites.chef(brush.at(*_centre(state.agent)))
    held = held_item(state)
    if held is not None:
        brush.at(*_centre(state.agent)).shift(0.2, 0.24, 0.66)
        _draw_item(brush, kitchen, state, held)
    image = image.reduce(OVERSAMPLING)
    if kitchen.obs_radius:
        image = _draw_window(image, kitchen, state.agent)
    return np.array(image)


@lru_cache(maxsize=16)
def _background(kitchen: Kitchen) -> Image.Image:
    """Return a picture of the floor, counters, boards and delivery counter, which never change."""
    size = CELL * OVERSAMPLING
    image = Image.new("RGB", (kitchen.columns * size, kitchen.rows * size))
    brush = Brush(image, size)
    cells = [(row, column) for row in range(kitchen.rows) for column in range(kitchen.columns)]
    for cell in cells:
        brush.at(*_centre(cell))
        if cell in kitchen.floor:
            brush.box(0, 0, 0.5, 0.5, FLOOR[sum(cell) % 2])
            continue
        brush.box(0, 0, 0.5, 0.5, COUNTER)
        brush.box(0, -0.03, 0.47, 0.44, COUNTER_TOP, COUNTER_EDGE, 0.02, 0.06)
        brush.line([(-0.36, -0.38), (0.3, -0.38)], "#dcb388", 0.025)
    for cell in kitchen.boards:
        sprites.board(brush.at(*_centre(cell)))
    sprites.delivery(brush.at(*_centre(kitchen.delivery)))
    return image


def _centre(cell: Cell) -> tuple[float, float]:
    return cell[1] + 0.5, cell[0] + 0.5


def _draw_item(brush: Brush, kitchen: Kitchen, state: State, item: int) -> None:
    if item == kitchen.bowl:
        sprites.bowl(brush, [kitchen.foods[food] for food in sorted(bowl_content(state))])
    else:
        sprites.FOOD_SPRITES[kitchen.foods[item]](brush, is_chopped(state, item))


def _draw_chops(brush: Brush, kitchen: Kitchen, state: State, item: int) -> None:
    """Draw a dot per chop that a food on a board needs, filled for each chop done."""
    if item == kitchen.bowl:
        return
    for chop in range(CHOPS_NEEDED):
        done = chop < state.chops[item]
        brush.oval(-0.2 + 0.14 * chop, 0.4, 0.05, 0.05, "#57c84d" if done else "#fffaf0", OUTLINE, 0.018)


def _draw_window(image: Image.Image, kitchen: Kitchen, agent: Cell) -> Image.Image:
    """Darken the cells outside the agent's window, and draw a frame around it."""
    radius = kitchen.obs_radius
    top, bottom = max(0, agent[0] - radius), min(kitchen.rows, agent[0] + radius + 1)
    left, right = max(0, agent[1] - radius), min(kitchen.columns, agent[1] + radius + 1)
    dark = darkened(image, 0.45, (left * CELL, top * CELL, right * CELL, bottom * CELL))
    frame = Brush(dark, CELL).at((left + right) / 2, (top + bottom) / 2)
    frame.box(0, 0, (right - left) / 2, (bottom - top) / 2, None, "#ffd166", 0.045)
    return dark


def write(kitchen: Kitchen, state: State) -> str:
    """Return the kitchen as text: the letters of `maps`, `@` for the agent, lower-case letters for chopped foods."""
    lines = ["".join(_letter(kitchen, state, (row, column)) for column in range(kitchen.columns)) for row in range(kitchen.rows)]
    names = (*kitchen.foods, "bowl")
    held = held_item(state)
    content = ", ".join(kitchen.foods[food] for food in sorted(bowl_content(state)))
    return "\n".join((*lines, f"hand: {'-' if held is None else names[held]}", f"bowl: {content or '-'}"))


def _letter(kitchen: Kitchen, state: State, cell: Cell) -> str:
    item = item_at(state, cell)
    if cell == state.agent:
        return "@"
    if item is not None:
        letter = (*kitchen.foods, "bowl")[item][0]
        return letter if is_chopped(state, item) else letter.upper()
    if cell in kitchen.boards:
        return "/"
    if cell == kitchen.delivery:
        return "D"
    return "." if cell in kitchen.floor else "#"
