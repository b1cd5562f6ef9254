"""Drawings of furniture seen from above, with half sides rx and ry in metres around a centre."""

from collections.abc import Callable
from functools import partial
from typing import Final

from twosome.envs.brush import Brush

EDGE: Final = "#5a4a3f"
WOOD, WOOD_DARK, WOOD_LIGHT = "#c99a6b", "#a97b52", "#dcb388"
STEEL, STEEL_DARK, WHITE, WATER = "#d5dbe0", "#9aa5ad", "#f7f8fa", "#bfe0ee"
GREEN, GREEN_DARK, BLUE, BLUE_DARK, RED = "#7fae8f", "#5d8c70", "#8fb0d8", "#6288b8", "#c8695a"

Drawing = Callable[[Brush, float, float], None]


def block(brush: Brush, rx: float, ry: float, fill: str = WOOD, line: str = WOOD_DARK, round_: float = 0.07) -> None:
    """Draw a plain piece of furniture."""
    brush.box(0, 0, rx, ry, fill, line, 0.035, round_)


def fridge(brush: Brush, rx: float, ry: float) -> None:
    """Draw two doors with handles."""
    block(brush, rx, ry, STEEL, STEEL_DARK)
    brush.line([(-rx, -0.1), (rx, -0.1)], STEEL_DARK, 0.03)
    for y in (-0.22, 0.06):
        brush.line([(rx - 0.14, y - 0.06), (rx - 0.14, y + 0.08)], "#6c7780", 0.045)


def counter(brush: Brush, rx: float, ry: float) -> None:
    """Draw a worktop."""
    block(brush, rx, ry, WOOD, WOOD_DARK)
    brush.line([(-rx + 0.1, -ry + 0.09), (rx - 0.1, -ry + 0.09)], WOOD_LIGHT, 0.03)


def stove(brush: Brush, rx: float, ry: float) -> None:
    """Draw four burners."""
    block(brush, rx, ry, "#59616b", "#3d444c")
    for x in (-0.45, 0.45):
        for y in (-0.45, 0.45):
            brush.oval(x * rx, y * ry, 0.11, 0.11, "#2f353b", "#8d979f", 0.025)


def basin(brush: Brush, rx: float, ry: float, top: str = STEEL) -> None:
    """Draw a sink with its tap."""
    block(brush, rx, ry, top, STEEL_DARK)
    brush.oval(0, 0.06, min(rx, 0.36) * 0.78, ry * 0.6, WATER, STEEL_DARK, 0.025)
    brush.line([(0, -ry + 0.06), (0, -0.02)], "#6c7780", 0.06)


def table(brush: Brush, rx: float, ry: float) -> None:
    """Draw a table top."""
    block(brush, rx, ry, WOOD_LIGHT, WOOD_DARK, 0.16)
    brush.box(0, 0, rx - 0.1, ry - 0.1, None, "#cfa274", 0.02, 0.1)


def chair(brush: Brush, rx: float, ry: float) -> None:
    """Draw a seat with its back."""
    block(brush, rx, ry, WOOD, WOOD_DARK, 0.1)
    brush.box(0, ry - 0.05, rx, 0.07, WOOD_DARK, round_=0.05)


def bathtub(brush: Brush, rx: float, ry: float) -> None:
    """Draw a bathtub with water."""
    block(brush, rx, ry, WHITE, STEEL_DARK, 0.2)
    brush.box(0, 0.04, rx - 0.12, ry - 0.16, WATER, STEEL_DARK, 0.02, 0.2)
    brush.oval(0, -ry + 0.12, 0.05, 0.05, "#6c7780")


def toilet(brush: Brush, rx: float, ry: float) -> None:
    """Draw a tank and a seat."""
    brush.box(0, -ry + 0.14, rx, 0.14, WHITE, STEEL_DARK, 0.03, 0.04)
    brush.oval(0, 0.14, rx * 0.82, ry * 0.66, WHITE, STEEL_DARK, 0.03)
    brush.oval(0, 0.14, rx * 0.48, ry * 0.42, WATER, STEEL_DARK, 0.02)


def bed(brush: Brush, rx: float, ry: float) -> None:
    """Draw two pillows and a blanket; the head is at the lower wall."""
    block(brush, rx, ry, WHITE, WOOD_DARK, 0.1)
    brush.box(0, -0.3, rx, ry - 0.3, BLUE, BLUE_DARK, 0.03, 0.1)
    brush.line([(-rx + 0.06, ry - 0.78), (rx - 0.06, ry - 0.78)], "#c9dbf1", 0.16)
    for x in (-0.5, 0.5):
        brush.box(x * rx, ry - 0.32, rx * 0.38, 0.19, "#ffffff", "#c5ccd4", 0.025, 0.1)


def closet(brush: Brush, rx: float, ry: float) -> None:
    """Draw two doors, seen partly from the front."""
    block(brush, rx, ry, WOOD_DARK, EDGE)
    brush.line([(-rx + 0.05, 0), (rx - 0.05, 0)], EDGE, 0.03)
    for y in (-0.14, 0.14):
        brush.oval(-rx + 0.12, y, 0.035, 0.035, WOOD_LIGHT)


def bookshelf(brush: Brush, rx: float, ry: float) -> None:
    """Draw a row of books."""
    block(brush, rx, ry, WOOD_DARK, EDGE, 0.03)
    colours = (RED, BLUE, "#e3b64c", GREEN, "#8d6aa8", WHITE)
    for number in range(13):
        x = -rx + 0.13 + number * (2 * rx - 0.2) / 13
        brush.box(x, 0.02, 0.05, ry * (0.62 + 0.12 * (number % 3)), colours[number * 5 % 6])


def sofa(brush: Brush, rx: float, ry: float) -> None:
    """Draw a sofa with its back to the right."""
    block(brush, rx, ry, GREEN, GREEN_DARK, 0.16)
    brush.box(rx - 0.15, 0, 0.15, ry, GREEN_DARK, round_=0.12)
    for y in (-1, 1):
        brush.box(-0.02, y * (ry - 0.13), rx - 0.02, 0.13, GREEN_DARK, round_=0.12)
        brush.box(-0.14, y * (ry - 0.26) / 2, rx - 0.2, (ry - 0.3) / 2, "#96c2a5", GREEN_DARK, 0.02, 0.1)


def floorlamp(brush: Brush, rx: float, ry: float) -> None:
    """Draw a lampshade seen from above."""
    brush.oval(0, 0, rx, ry, "#f6e7b4", "#c9b06a", 0.03)
    brush.oval(0, 0, rx * 0.4, ry * 0.4, "#fffdf0", "#c9b06a", 0.02)


def rug(brush: Brush, rx: float, ry: float, fill: str = "#d9b8a4", line: str = "#b98d75") -> None:
    """Draw a rug with a border."""
    brush.box(0, 0, rx, ry, fill, line, 0.04, 0.12)
    brush.box(0, 0, rx - 0.13, ry - 0.13, None, line, 0.02, 0.08)


FURNITURE: Final[dict[str, Drawing]] = {
    "fridge": fridge,
    "kitchencounter": counter,
    "stove": stove,
    "sink": basin,
    "kitchentable": table,
    "coffeetable": table,
    "table": partial(block, fill=WOOD_DARK, line=EDGE),
    "desk": counter,
    "chair": chair,
    "bathtub": bathtub,
    "bathroomcounter": partial(basin, top=WHITE),
    "toilet": toilet,
    "mat": partial(rug, fill="#a9d1d6", line="#7fb0b6"),
    "bed": bed,
    "nightstand": block,
    "closet": closet,
    "bookshelf": bookshelf,
    "sofa": sofa,
    "floorlamp": floorlamp,
    "rug": rug,
}
"""The drawings by class. Other classes are in `sprites`, or are drawn as a block."""
