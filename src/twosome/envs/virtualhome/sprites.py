"""Drawings of things that change or can be carried, and of the agent, about half a metre wide around a centre."""

from collections.abc import Callable
from math import cos, pi, sin
from typing import Final

from twosome.envs.brush import OUTLINE, Brush

STEEL, STEEL_DARK, GLASS, DARK = "#dfe4e8", "#8a959e", (176, 206, 222, 190), "#39424c"


def microwave(brush: Brush, is_open: bool, is_on: bool) -> None:
    """Draw a microwave whose glass door opens to the left."""
    brush.box(0, 0, 0.42, 0.27, STEEL, STEEL_DARK, 0.03, 0.05)
    brush.box(-0.09, 0, 0.28, 0.2, "#f8e2a0" if is_on else DARK if is_open else "#6b7883", STEEL_DARK, 0.02, 0.03)
    brush.box(0.31, -0.12, 0.06, 0.05, "#9be08a" if is_on else "#6d7b69")
    for y in (0.02, 0.12):
        brush.oval(0.31, y, 0.03, 0.03, STEEL_DARK)
    if is_open:
        brush.polygon([(-0.38, -0.21), (-0.38, 0.21), (-0.6, 0.33), (-0.6, -0.09)], GLASS)
        brush.line([(-0.38, -0.21), (-0.6, -0.09), (-0.6, 0.33), (-0.38, 0.21)], STEEL_DARK, 0.025)


def dishwasher(brush: Brush, is_open: bool, is_on: bool) -> None:
    """Draw a dishwasher whose door folds down."""
    brush.box(0, 0, 0.4, 0.4, STEEL, STEEL_DARK, 0.03, 0.05)
    brush.box(0, -0.31, 0.36, 0.05, "#b4bdc5")
    brush.oval(0.28, -0.31, 0.03, 0.03, "#6fd36a" if is_on else "#76818a")
    brush.box(0, 0.07, 0.32, 0.27, DARK if is_open else "#c3cbd2", STEEL_DARK, 0.02, 0.03)
    if not is_open:
        brush.line([(-0.2, -0.12), (0.2, -0.12)], STEEL_DARK, 0.045)
        return
    for x in (-0.2, -0.07, 0.07, 0.2):
        brush.line([(x, -0.14), (x, 0.28)], "#6b7781", 0.02)
    brush.box(0, 0.5, 0.36, 0.13, "#c3cbd2", STEEL_DARK, 0.025, 0.03)


def washingmachine(brush: Brush, is_open: bool, is_on: bool) -> None:
    """Draw a washing machine whose round door opens to the left."""
    brush.box(0, 0, 0.42, 0.4, "#f7f8fa", STEEL_DARK, 0.03, 0.05)
    brush.box(-0.2, -0.3, 0.16, 0.05, "#cdd5dc")
    brush.oval(0.28, -0.3, 0.05, 0.05, "#6fd36a" if is_on else "#aab4bc", STEEL_DARK, 0.015)
    brush.oval(0, 0.07, 0.27, 0.27, STEEL, STEEL_DARK, 0.035)
    brush.oval(0, 0.07, 0.2, 0.2, DARK if is_open else GLASS, STEEL_DARK, 0.02)
    if is_open:
        brush.oval(-0.42, 0.1, 0.14, 0.26, GLASS, STEEL_DARK, 0.04)


def tv(brush: Brush, is_open: bool, is_on: bool) -> None:
    """Draw a television whose screen faces right, towards the sofa."""
    brush.box(0, 0, 0.17, 0.85, "#20262d", "#12161a", 0.02, 0.05)
    if not is_on:
        brush.box(0.03, 0, 0.12, 0.78, "#3a444e", round_=0.03)
        brush.line([(0.1, -0.6), (0.1, -0.2)], "#5d6a76", 0.025)
        return
    brush.polygon([(0.17, -0.78), (0.75, -1.1), (0.75, 1.1), (0.17, 0.78)], (150, 205, 255, 80))
    for number, colour in enumerate(("#ffd166", "#ef6f6c", "#5bc8af", "#5b8def", "#c77dff")):
        brush.box(0.03, -0.624 + number * 0.312, 0.12, 0.156, colour)


def pancake(brush: Brush) -> None:
    """Draw a stack of pancakes with butter, on a dish."""
    brush.oval(0, 0.04, 0.27, 0.22, "#fbfbf7", "#b9b4a8", 0.02)
    for y in (0.08, 0.02, -0.04):
        brush.oval(0, y, 0.2, 0.13, "#e5aa5c", "#b57a35", 0.02)
    brush.box(0.01, -0.06, 0.06, 0.04, "#fff1a8", "#d8bf60", 0.012, 0.02)


def milk(brush: Brush) -> None:
    """Draw a carton."""
    brush.box(0, 0.06, 0.14, 0.22, "#f4f8ff", "#7d93b5", 0.022, 0.02)
    brush.polygon([(-0.14, -0.15), (-0.06, -0.29), (0.06, -0.29), (0.14, -0.15)], "#7da7e0")
    brush.box(0, 0.08, 0.14, 0.07, "#5b8def")


def chips(brush: Brush) -> None:
    """Draw a bag."""
    corners = [(-0.17, -0.26), (0.17, -0.26), (0.2, 0.26), (-0.2, 0.26)]
    brush.polygon(corners, "#e94f37")
    brush.line([*corners, corners[0]], "#a7301f", 0.022)
    brush.oval(0, 0.02, 0.13, 0.11, "#ffd166", "#d9962b", 0.018)
    brush.arc(0.01, 0.03, 0.07, 200, 340, "#d9962b", 0.02)


def cheese(brush: Brush) -> None:
    """Draw a wedge with holes."""
    brush.polygon([(-0.27, 0.02), (0.22, -0.2), (0.27, 0.02)], "#ffe38a")
    brush.box(0, 0.11, 0.27, 0.1, "#f6c445", "#c99524", 0.015)
    for x, y, r in ((-0.14, 0.11, 0.035), (0.05, 0.08, 0.028), (0.17, 0.14, 0.04)):
        brush.oval(x, y, r, r, "#d8a32f")


def hamburger(brush: Brush) -> None:
    """Draw a bun, salad, meat and a bun."""
    brush.box(0, 0.15, 0.22, 0.06, "#d99a4e", "#a86f2d", 0.018, 0.05)
    brush.box(0, 0.06, 0.24, 0.045, "#7a4526", round_=0.04)
    brush.box(0, 0.0, 0.26, 0.03, "#7cc257", round_=0.03)
    brush.polygon([(0.23 * cos(a * pi / 16), -0.02 - 0.22 * sin(a * pi / 16)) for a in range(17)], "#e0a458")
    for x, y in ((-0.1, -0.11), (0.02, -0.17), (0.11, -0.1)):
        brush.oval(x, y, 0.018, 0.012, "#fff3d6")


def pie(brush: Brush) -> None:
    """Draw a pie with a lattice."""
    brush.oval(0, 0.02, 0.27, 0.24, "#c9843a", "#8f5a22", 0.025)
    brush.oval(0, 0.02, 0.21, 0.18, "#e8b04f")
    for d in (-0.1, 0.0, 0.1):
        brush.line([(d - 0.08, -0.12), (d + 0.08, 0.16)], "#b8742f", 0.03)
        brush.line([(d + 0.08, -0.12), (d - 0.08, 0.16)], "#b8742f", 0.03)


def pizza(brush: Brush) -> None:
    """Draw a whole pizza with salami."""
    brush.oval(0, 0, 0.28, 0.26, "#d9a05a", "#a66f2e", 0.025)
    brush.oval(0, 0, 0.22, 0.2, "#f5cf62")
    for x, y in ((-0.1, -0.06), (0.08, -0.1), (0.11, 0.07), (-0.05, 0.1)):
        brush.oval(x, y, 0.05, 0.05, "#cf4b38")


def plate(brush: Brush) -> None:
    """Draw a dirty plate."""
    brush.oval(0, 0, 0.27, 0.25, "#fdfdfb", "#8fa3bd", 0.025)
    brush.oval(0, 0, 0.17, 0.155, "#eef2f6", "#c4cfdc", 0.018)
    brush.oval(0.04, 0.02, 0.06, 0.035, "#b98a5a")


def clothes(brush: Brush) -> None:
    """Draw a pile of three colours."""
    brush.oval(0, 0.12, 0.3, 0.15, "#6c8ed4", "#4765a6", 0.02)
    brush.oval(-0.08, 0.0, 0.21, 0.13, "#e07a7a", "#b04f52", 0.02)
    brush.oval(0.07, -0.08, 0.17, 0.11, "#f0d17a", "#c4a145", 0.02)


def towel(brush: Brush) -> None:
    """Draw a folded towel."""
    brush.box(0, 0, 0.2, 0.13, "#f0b8c4", "#cf8a9b", 0.02, 0.04)
    brush.line([(-0.18, 0.04), (0.18, 0.04)], "#cf8a9b", 0.02)


def lamp(brush: Brush) -> None:
    """Draw a lamp seen from above."""
    brush.oval(0, 0, 0.19, 0.19, "#f6e7b4", "#c9b06a", 0.025)


def laptop(brush: Brush) -> None:
    """Draw an open laptop."""
    brush.box(0, 0.09, 0.24, 0.1, "#c7ced6", "#828d98", 0.02, 0.02)
    brush.box(0, -0.09, 0.24, 0.1, "#44515e", "#2c3640", 0.02, 0.02)


def person(brush: Brush, sitting: bool) -> None:
    """Draw the agent; when it sits, without legs and shadow."""
    if not sitting:
        brush.oval(0, 0.4, 0.3, 0.08, (0, 0, 0, 50))
        for x in (-0.1, 0.1):
            brush.box(x, 0.33, 0.08, 0.09, "#34456b", OUTLINE, 0.02, 0.04)
    brush.box(0, 0.18, 0.24, 0.16, "#e4572e", OUTLINE, 0.022, 0.11)
    brush.oval(0, -0.1, 0.22, 0.22, "#f6cfa6", OUTLINE, 0.022)
    brush.polygon([(0.225 * cos(a * pi / 12 + pi), -0.13 + 0.24 * sin(a * pi / 12 + pi)) for a in range(13)], "#5b3a24")
    for x in (-0.08, 0.08):
        brush.oval(x, -0.08, 0.026, 0.036, "#33261f")
        brush.oval(x * 1.8, 0.0, 0.035, 0.022, "#eda58b")
    brush.arc(0, -0.05, 0.085, 30, 150, "#8a4b3a", 0.022)


DEVICES: Final[dict[str, Callable[[Brush, bool, bool], None]]] = {
    "microwave": microwave,
    "dishwasher": dishwasher,
    "washingmachine": washingmachine,
    "tv": tv,
}
"""The drawings of what opens or has a switch, by class. Their arguments: whether it is open, whether it is on."""

SPRITES: Final[dict[str, Callable[[Brush], None]]] = {
    "pancake": pancake,
    "milk": milk,
    "chips": chips,
    "foodcheese": cheese,
    "foodhamburger": hamburger,
    "pie": pie,
    "foodpizza": pizza,
    "plate": plate,
    "clothespile": clothes,
    "towel": towel,
    "lamp": lamp,
    "laptop": laptop,
}
"""The drawings of what can be carried, by class."""
