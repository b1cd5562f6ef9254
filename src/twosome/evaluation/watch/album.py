"""The pictures of recorded episodes, each stored once, as data URIs."""

import base64
import io

import numpy as np
from PIL import Image

WIDEST = 480
"""Pixels of a stored picture's longer side at most."""
COLORS = 64


class Album:
    """Pictures in the order in which they were first added."""

    def __init__(self) -> None:
        self.uris: list[str] = []
        self._places: dict[bytes, int] = {}

    def add(self, picture: np.ndarray) -> int:
        """Add a picture, (height, width, 3), uint8; return its number, which is that of an equal one if there is one."""
        key = picture.tobytes() + str(picture.shape).encode()
        if key not in self._places:
            self._places[key] = len(self.uris)
            self.uris.append(_encoded(picture))
        return self._places[key]


def _encoded(picture: np.ndarray) -> str:
    """Return a picture as a data URI: a PNG of COLORS colours."""
    image = Image.fromarray(picture)
    image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.quantize(COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
