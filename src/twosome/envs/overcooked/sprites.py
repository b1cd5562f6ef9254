"""Drawings of the objects in the kitchen, in units of one cell around a centre."""

from collections.abc import Callable
from math import cos, pi, sin
from typing import Final

from twosome.envs.brush import OUTLINE, Brush, star

RED, RED_DARK, RED_LIGHT = "#e0483e", "#b2322b", "#f58a7c"
GREEN, GREEN_DARK, GREEN_LIGHT = "#6cbf4b", "#3f8f3a", "#b5e48c"
PURPLE, PURPLE_DARK, PURPLE_LIGHT = "#b569a8", "#844a7d", "#f1d9ee"
WOOD, WOOD_DARK = "#dfae74", "#b9824a"


def tomato(brush: Brush, chopped: bool) -> None:
    """Draw a round tomato, or three slices."""
    if not chopped:
        brush.oval(0, 0.03, 0.28, 0.26, RED, RED_DARK, 0.025)
        brush.oval(-0.11, -0.05, 0.07, 0.045, RED_LIGHT)
        brush.polygon(star(0, -0.17, 0.16, 0.055, 5), GREEN_DARK)
        return
    for x, y in ((-0.13, 0.06), (0.14, 0.1), (0.02, -0.12)):
        brush.oval(x, y, 0.17, 0.16, RED, RED_DARK, 0.02)
        for i in range(3):
            angle = i * 2 * pi / 3 + 0.5
            brush.oval(x + 0.075 * cos(angle), y + 0.07 * sin(angle), 0.05, 0.045, "#ffc9a8")


def lettuce(brush: Brush, chopped: bool) -> None:
    """Draw a head of lettuce, or loose leaves."""
    if not chopped:
        for i in range(9):
            angle = i * 2 * pi / 9
            brush.oval(0.2 * cos(angle), 0.19 * sin(angle), 0.12, 0.11, GREEN, GREEN_DARK, 0.02)
        brush.oval(0, 0, 0.21, 0.2, GREEN)
        brush.oval(0.01, 0.01, 0.14, 0.13, GREEN_LIGHT)
        for r in (0.07, 0.12, 0.17):
            brush.arc(0, 0.02, r, 190, 340, GREEN_DARK, 0.018)
        return
    for x, y, flip in ((-0.15, 0.08, 1), (0.14, 0.1, -1), (-0.04, -0.13, -1), (0.17, -0.1, 1)):
        brush.oval(x, y, 0.14, 0.1, GREEN, GREEN_DARK, 0.018)
        brush.oval(x, y, 0.08, 0.05, GREEN_LIGHT)
        brush.line([(x - 0.11, y + 0.04 * flip), (x + 0.11, y - 0.04 * flip)], GREEN_DARK, 0.018)


def onion(brush: Brush, chopped: bool) -> None:
    """Draw a red onion, or rings of it."""
    if not chopped:
        brush.polygon([(-0.06, -0.18), (0, -0.36), (0.06, -0.18)], PURPLE_DARK)
        brush.oval(0, 0.04, 0.27, 0.24, PURPLE, PURPLE_DARK, 0.025)
        for rx in (0.09, 0.18):
            brush.oval(0, 0.04, rx, 0.235, (0, 0, 0, 0), PURPLE_DARK, 0.014)
        brush.oval(-0.13, -0.03, 0.045, 0.06, PURPLE_LIGHT)
        return
    for x, y in ((-0.13, 0.07), (0.14, 0.09), (0.0, -0.12)):
        brush.oval(x, y, 0.17, 0.16, PURPLE_LIGHT, PURPLE, 0.035)
        brush.oval(x, y, 0.1, 0.095, PURPLE_LIGHT, PURPLE, 0.022)
        brush.oval(x, y, 0.04, 0.04, PURPLE)


FOOD_SPRITES: Final[dict[str, Callable[[Brush, bool], None]]] = {"tomato": tomato, "lettuce": lettuce, "onion": onion}


def bowl(brush: Brush, content: list[str]) -> None:
    """Draw a bowl seen from above, with chopped foods in it."""
    brush.oval(0, 0, 0.36, 0.36, "#f7f9fc", "#5b7fa6", 0.035)
    brush.oval(0, 0, 0.27, 0.27, "#cfdceb")
    here = brush.here
    spots = {1: [(0.0, 0.0)], 2: [(-0.11, 0.0), (0.11, 0.0)], 3: [(-0.11, 0.07), (0.11, 0.07), (0.0, -0.1)]}
    for food, (x, y) in zip(content, spots.get(len(content), []), strict=True):
        FOOD_SPRITES[food](brush.at(*here).shift(x, y, 0.78 if len(content) == 1 else 0.52), True)
    brush.at(*here)


def board(brush: Brush) -> None:
    """Draw a wooden cutting board with a knife beside it."""
    brush.box(-0.06, 0, 0.36, 0.36, WOOD, WOOD_DARK, 0.03, 0.07)
    for y in (-0.2, 0.0, 0.2):
        brush.line([(-0.34, y), (0.22, y)], "#d3a066", 0.018)
    brush.polygon([(0.34, -0.32), (0.44, -0.24), (0.44, 0.1), (0.34, 0.1)], "#dfe5ea")
    brush.line([(0.34, -0.32), (0.34, 0.1)], "#8d99a5", 0.015)
    brush.box(0.39, 0.23, 0.05, 0.14, "#3c4650", round_=0.03)


def delivery(brush: Brush) -> None:
    """Draw the delivery counter: a bell on a green mat."""
    brush.box(0, 0, 0.42, 0.42, "#2f8f83", "#1f6b62", 0.03, 0.08)
    brush.box(0, 0, 0.35, 0.35, None, "#8fd6cc", 0.02, 0.05)
    brush.polygon([(0.24 * cos(a * pi / 20), 0.14 - 0.3 * sin(a * pi / 20)) for a in range(21)], "#ffd166")
    brush.box(0, 0.17, 0.29, 0.045, "#e0a83a", round_=0.03)
    brush.oval(0, -0.19, 0.05, 0.05, "#e0a83a")
    brush.arc(0, 0.12, 0.17, 200, 250, "#fff3cf", 0.035)


def chef(brush: Brush) -> None:
    """Draw the agent."""
    brush.oval(0, 0.37, 0.3, 0.08, (0, 0, 0, 45))
    brush.box(0, 0.26, 0.25, 0.16, "#3f6fb5", OUTLINE, 0.022, 0.12)
    brush.box(0, 0.29, 0.13, 0.12, "#ffffff", round_=0.05)
    brush.oval(0, 0.0, 0.23, 0.21, "#f6cfa6", OUTLINE, 0.022)
    for x in (-0.085, 0.085):
        brush.oval(x, 0.0, 0.026, 0.036, "#33261f")
        brush.oval(x * 1.75, 0.075, 0.035, 0.022, "#eda58b")
    brush.arc(0, 0.03, 0.085, 30, 150, "#8a4b3a", 0.022)
    for x, y, r in ((-0.15, -0.27, 0.11), (0.15, -0.27, 0.11), (0.0, -0.32, 0.14)):
        brush.oval(x, y, r, r, "#ffffff", OUTLINE, 0.022)
    brush.box(0, -0.23, 0.19, 0.08, "#ffffff")
    brush.box(0, -0.15, 0.2, 0.05, "#ffffff", OUTLINE, 0.022, 0.03)
