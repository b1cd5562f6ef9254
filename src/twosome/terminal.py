"""The terminal as commands print to it."""

from collections.abc import Iterable

import rich.console
from rich.segment import Segment

from twosome.errors import visible


class Console(rich.console.Console):
    """Rich's console, in which texts cannot control the terminal: they may come from a stranger's folder."""

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """See Rich's; it is called for everything that is printed, and for each cell of a table."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text, keep="\n"))
