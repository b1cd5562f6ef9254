"""The pictures of a film: the environment on the left, the decision with its probabilities on the right."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, MARGIN = 900, 500, 18
STAGE = HEIGHT - 2 * MARGIN  # side of the square that the environment's picture is fitted into
PANEL = MARGIN + STAGE + 28  # left edge of the text
MAX_BARS = 9
PAPER, INK, FAINT, TRACK = "#fbf8f2", "#232b3b", "#7a8292", "#ece6da"
BAR, CHOSEN, GOOD, BAD = "#9fb4c7", "#d9730d", "#2e7d4f", "#a63d40"


@dataclass(frozen=True)
class Scene:
    """The content of the right side.

    title: the goal. actions: the action prompts. probabilities: of the actions, in the same order. chosen: the index of the
    chosen action. step: primitive steps so far. decisions: their number, with this one. total: discounted return so far.
    ending: words instead of the decision's heading, once the episode is over. success: selects their colour.
    """

    title: str
    actions: tuple[str, ...]
    probabilities: tuple[float, ...]
    chosen: int
    step: int = 0
    decisions: int = 1
    total: float = 0.0
    ending: str = ""
    success: bool = False

    def at(self, step: int, total: float) -> "Scene":
        """Return a copy with another step and return."""
        return replace(self, step=step, total=total)


def compose(picture: np.ndarray, scene: Scene) -> Image.Image:
    """Compose the film's picture, (WIDTH, HEIGHT) RGB. picture: the environment's, (height, width, 3), uint8."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    stage = Image.fromarray(picture).convert("RGB")
    scale = STAGE / max(stage.size)
    stage = stage.resize((round(stage.width * scale), round(stage.height * scale)), Image.Resampling.LANCZOS)
    canvas.paste(stage, (MARGIN + (STAGE - stage.width) // 2, MARGIN + (STAGE - stage.height) // 2))
    draw = ImageDraw.Draw(canvas)
    right = WIDTH - MARGIN
    for y, size, line in title_lines(scene.title, right - PANEL):
        draw.text((PANEL, y), line, INK, font(size, bold=True))
    facts = (("step", str(scene.step)), ("decision", str(scene.decisions)), ("return", f"{scene.total:+.3f}"))
    for column, (name, value) in enumerate(facts):
        left = PANEL + column * (right - PANEL) // 3
        draw.text((left, 56), name, FAINT, font(13))
        draw.text((left, 73), value, INK, font(17))
    draw.line((PANEL, 107, right, 107), TRACK, 2)
    if scene.ending:
        draw.text((PANEL, 118), scene.ending, GOOD if scene.success else BAD, font(17, bold=True))
    else:
        draw.text((PANEL, 119), "probability of each action", FAINT, font(13))
    _bars(draw, scene, top=146, bottom=HEIGHT - MARGIN, right=right)
    return canvas


def title_lines(title: str, width: int) -> list[tuple[int, int, str]]:
    """Return height, size and text of a title's lines, each at most width pixels wide: one line, or two if it is too long."""
    words = title.split()
    for size in (21, 18, 15):
        if fit(title, size, width, bold=True) == " ".join(words):
            return [(20, size, " ".join(words))]
    first = max(cut for cut in range(len(words)) if font(15, bold=True).getlength(" ".join(words[:cut])) <= width)
    lines = " ".join(words[:first]), " ".join(words[first:])
    return [(y, 15, fit(line, 15, width, bold=True)) for y, line in zip((12, 32), lines, strict=True)]


def _bars(draw: ImageDraw.ImageDraw, scene: Scene, top: int, bottom: int, right: int) -> None:
    """Draw a label and a bar for each action; of many actions only the most probable ones and the chosen one."""
    shown = visible(scene.probabilities, scene.chosen)
    hidden = len(scene.actions) - len(shown)
    pitch = min(44, (bottom - top - (18 if hidden else 0)) // len(shown))
    for row, action in enumerate(shown):
        y, share, chosen = top + row * pitch, scene.probabilities[action], action == scene.chosen
        number = f"{share:.1%}" if share < 0.9995 else "100%"
        draw.text((right, y), number, CHOSEN if chosen else INK, font(15, bold=chosen), anchor="ra")
        words = fit(scene.actions[action], 15, right - PANEL - 66, bold=chosen)
        draw.text((PANEL, y), words, CHOSEN if chosen else INK, font(15, bold=chosen))
        track = (PANEL, y + 20, right, y + 20 + min(11, pitch - 25))
        draw.rounded_rectangle(track, 4, TRACK)
        length = round(share * (right - PANEL))
        if length > 2:
            draw.rounded_rectangle((PANEL, track[1], PANEL + length, track[3]), 4, CHOSEN if chosen else BAR)
    if hidden:
        draw.text((PANEL, bottom - 14), f"and {hidden} less likely", FAINT, font(12))


def visible(probabilities: Sequence[float], chosen: int) -> list[int]:
    """Return the indices of at most MAX_BARS actions, in ascending order: the chosen one and the most probable others."""
    order = sorted(range(len(probabilities)), key=lambda action: (action != chosen, -probabilities[action]))
    return sorted(order[:MAX_BARS])


def fit(text: str, size: int, width: float, bold: bool = False) -> str:
    """Return the text on one line, with an ellipsis in its middle if it is wider than width pixels."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if font(size, bold).getlength(text) <= width:
        return text
    cut, kept = text, len(text)
    while kept and font(size, bold).getlength(cut) > width:
        kept -= 1
        cut = f"{text[: kept - kept // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"
    return cut


@lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which is part of matplotlib, so that pictures are the same on every machine."""
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(str(file), size)
