"""Pictures of a world as coloured boxes and discs with names, in units of a cell: x to the right, y down."""

import textwrap
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = str | tuple[int, int, int, int]

INK, PAPER = "#3a312c", "#fffdf7"
OVERSAMPLING = 2  # drawn larger and scaled down, for smooth edges


class Picture:
    """A picture that is drawn cell by cell."""

    def __init__(self, columns: float, rows: float, cell: int, background: Colour) -> None:
        """cell: pixels of a cell in the finished picture."""
        self._cell = cell * OVERSAMPLING
        self._image = Image.new("RGB", (round(columns * self._cell), round(rows * self._cell)), background)
        self._pen = ImageDraw.Draw(self._image, "RGBA")

    def box(self, left: float, top: float, width: float, height: float, fill: Colour | None, line: Colour | None = None) -> None:
        """Draw a rectangle with slightly rounded corners where it has an outline."""
        corners = [each * self._cell for each in (left, top, left + width, top + height)]
        radius = 0.06 * self._cell if line else 0
        self._pen.rounded_rectangle(corners, radius, fill, line, width=round(0.04 * self._cell) if line else 0)

    def disc(self, x: float, y: float, radius: float, fill: Colour, line: Colour | None = None) -> None:
        """Draw a disc around a centre."""
        corners = [each * self._cell for each in (x - radius, y - radius, x + radius, y + radius)]
        self._pen.ellipse(corners, fill, line, width=round(0.04 * self._cell) if line else 0)

    def person(self, x: float, y: float, shirt: Colour = "#e4572e") -> None:
        """Draw the agent, seen from the front, in a cell around a centre."""
        self._pen.pieslice([each * self._cell for each in (x - 0.3, y, x + 0.3, y + 0.9)], 180, 360, shirt, INK, 4)
        self.disc(x, y - 0.13, 0.24, "#f6cfa6", INK)
        for eye in (-0.09, 0.09):
            self.disc(x + eye, y - 0.12, 0.035, INK)

    def label(self, x: float, y: float, text: str, height: float = 0.2) -> None:
        """Write words on a light ground, centred, inside the picture. height: of the letters, in cells."""
        font = _font(round(height * self._cell))
        half = self._pen.textlength(text, font) / 2 + 0.05 * self._cell
        x = min(max(x * self._cell, half), self._image.width - half)
        left, top, right, bottom = self._pen.textbbox((x, y * self._cell), text, font, anchor="mm")
        margin = 0.04 * self._cell
        ground = (left - margin, top - margin, right + margin, bottom + margin)
        self._pen.rounded_rectangle(ground, margin, fill=(255, 253, 247, 225))
        self._pen.text((x, y * self._cell), text, INK, font, anchor="mm")

    def darken(self, left: float, top: float, width: float, height: float) -> None:
        """Darken all but a window."""
        x, y, right, bottom = (round(each * self._cell) for each in (left, top, left + width, top + height))
        dark = Image.blend(self._image, Image.new("RGB", self._image.size, "#2b3347"), 0.42)
        dark.paste(self._image.crop((x, y, right, bottom)), (x, y))
        self._image, self._pen = dark, ImageDraw.Draw(dark, "RGBA")

    def pixels(self) -> NDArray[np.uint8]:
        """Return the picture, (height, width, 3)."""
        return np.array(self._image.reduce(OVERSAMPLING))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, so that pictures are the same on every machine."""
    return ImageFont.load_default(size)


def page(text: str, side: int = 464, height: int = 17) -> NDArray[np.uint8]:
    """Return a picture of a text, (side, side, 3); a text that is too long loses its end. height: of a line, in pixels."""
    image = Image.new("RGB", (side, side), PAPER)
    pen, font = ImageDraw.Draw(image), _font(round(0.75 * height))
    columns = round((side - 2 * height) / pen.textlength("average", font) * len("average"))
    lines = [line for paragraph in text.split("\n") for line in textwrap.wrap(paragraph, columns) or [""]]
    pen.multiline_text((height, height), "\n".join(lines), INK, font, spacing=height // 4)
    return np.array(image)
