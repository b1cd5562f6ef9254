"""Drawing in an environment's own units, for the pictures of all environments."""

from collections.abc import Iterable
from math import cos, pi, sin
from typing import Final

from PIL import Image, ImageDraw

Colour = str | tuple[int, int, int] | tuple[int, int, int, int]
Point = tuple[float, float]

OUTLINE: Final = "#4a3b32"


class Brush:
    """A brush that draws in units of a cell: x to the right and y down from a centre, scaled by ``scale``."""

    def __init__(self, image: Image.Image, cell: int) -> None:
        self._draw = ImageDraw.Draw(image, "RGBA")
        self._cell = cell
        self._x, self._y, self._scale = 0.0, 0.0, 1.0

    def at(self, x: float, y: float, scale: float = 1.0) -> "Brush":
        """Move the centre, in cells from the picture's upper left corner; return the brush."""
        self._x, self._y, self._scale = x, y, scale
        return self

    def shift(self, x: float, y: float, scale: float = 1.0) -> "Brush":
        """Move the centre relative to its current position; return the brush."""
        return self.at(self._x + x * self._scale, self._y + y * self._scale, self._scale * scale)

    @property
    def here(self) -> tuple[float, float, float]:
        """The current centre and scale, as arguments of `at`."""
        return self._x, self._y, self._scale

    def _pixels(self, points: Iterable[Point]) -> list[Point]:
        scale = self._scale
        return [((self._x + x * scale) * self._cell, (self._y + y * scale) * self._cell) for x, y in points]

    def _width(self, width: float) -> int:
        return max(1, round(width * self._scale * self._cell))

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Colour, line: Colour = OUTLINE, w: float = 0) -> None:
        """Draw an ellipse with half axes rx, ry and line width w."""
        box = self._pixels([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.ellipse(box, fill=fill, outline=line if w else None, width=self._width(w) if w else 0)

    def box(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        fill: Colour | None,
        line: Colour = OUTLINE,
        w: float = 0,
        round_: float = 0,
    ) -> None:
        """Draw a rectangle with half sides rx, ry, line width w and corners of radius round_."""
        corners = self._pixels([(x - rx, y - ry), (x + rx, y + ry)])
        radius = round_ * self._scale * self._cell
        self._draw.rounded_rectangle(corners, radius, fill=fill, outline=line if w else None, width=self._width(w) if w else 0)

    def polygon(self, points: Iterable[Point], fill: Colour) -> None:
        """Draw a filled polygon."""
        self._draw.polygon(self._pixels(points), fill=fill)

    def line(self, points: Iterable[Point], fill: Colour, w: float) -> None:
        """Draw a line through points, with rounded joints."""
        self._draw.line(self._pixels(points), fill=fill, width=self._width(w), joint="curve")

    def arc(self, x: float, y: float, r: float, start: int, end: int, fill: Colour, w: float) -> None:
        """Draw an arc of a circle, in degrees clockwise from the right."""
        box = self._pixels([(x - r, y - r), (x + r, y + r)])
        self._draw.arc(box, start, end, fill=fill, width=self._width(w))


def darkened(image: Image.Image, share: float, window: tuple[int, int, int, int]) -> Image.Image:
    """Return a picture darkened by a share from 0 to 1, except for a window (left, top, right, bottom), in pixels."""
    dark = Image.blend(image, Image.new("RGB", image.size, "#2b3347"), share)
    dark.paste(image.crop(window), window[:2])
    return dark


def star(x: float, y: float, outer: float, inner: float, points: int) -> list[Point]:
    """Return the corners of a star with these outer and inner radii."""
    angles = [(i * pi / points - pi / 2, inner if i % 2 else outer) for i in range(2 * points)]
    return [(x + r * cos(a), y + r * sin(a)) for a, r in angles]
