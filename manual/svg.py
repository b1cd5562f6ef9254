"""A drawing as SVG text: boxes, lines and texts on a white card, which is legible on light and dark pages."""

import base64
from html import escape

INK, GREY, PALE, BLUE, GREEN, ORANGE = "#1f2933", "#66727f", "#eef1f4", "#3b6fb5", "#3c8d5a", "#c9702b"
FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"


class Drawing:
    """The elements of a drawing, in the order in which they are painted. Lengths are pixels, (0, 0) is the upper left corner."""

    def __init__(self, width: int, height: int, title: str) -> None:
        """title: what the drawing shows, for readers who do not see it."""
        self.width, self.height, self.title = width, height, title
        self.elements: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, fill: str = PALE, stroke: str = "none") -> None:
        """Draw a rectangle with round corners. (x, y): its upper left corner."""
        self.elements.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4" fill="{fill}" stroke="{stroke}"/>'
        )

    def text(
        self, x: float, y: float, text: str, size: float = 13, anchor: str = "start", fill: str = INK, bold: bool = False
    ) -> None:
        """Draw one line of text. (x, y): its baseline, at the start, middle or end of the text by anchor."""
        weight = ' font-weight="600"' if bold else ""
        self.elements.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" fill="{fill}"{weight}>{escape(text)}</text>'
        )

    def paragraph(self, x: float, y: float, text: str, columns: int, size: float = 13, fill: str = INK) -> float:
        """Draw a text on lines of at most so many characters; return the baseline below it."""
        line = ""
        for word in [*text.split(), None]:
            if word is None or len(f"{line} {word}") > columns:
                self.text(x, y, line, size, fill=fill)
                y, line = y + size * 1.4, ""
            line = f"{line} {word}".strip()
        return y

    def line(self, points: list[tuple[float, float]], stroke: str = GREY, arrow: bool = False, dashed: bool = False) -> None:
        """Draw a line through points (x, y). arrow: with a head at the last one."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        marks = (' marker-end="url(#head)"' if arrow else "") + (' stroke-dasharray="4 3"' if dashed else "")
        self.elements.append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="1.4"{marks}/>')

    def picture(self, x: float, y: float, width: float, height: float, png: bytes) -> None:
        """Draw a PNG file's picture."""
        data = base64.b64encode(png).decode()
        self.elements.append(
            f'<image x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" href="data:image/png;base64,{data}"/>'
        )

    def svg(self) -> str:
        """Return the whole drawing."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" style="{FONT}">\n<title>{escape(self.title)}</title>\n'
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            f'<path d="M0 0 8 4 0 8z" fill="{GREY}"/></marker></defs>\n'
            f'<rect width="{self.width}" height="{self.height}" rx="8" fill="#ffffff"/>\n'
        )
        return head + "\n".join(self.elements) + "\n</svg>\n"
