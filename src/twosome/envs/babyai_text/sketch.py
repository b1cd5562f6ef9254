"""Sketches of a room: minigrid's draws of the agent's place and the objects, as numbers.

Most attempts to draw a room are rejected, in a dense room hundreds for each that is valid, so that building minigrid's objects
for all of them would take most of an environment's time.
"""

from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

from minigrid.core.constants import COLOR_NAMES

TYPES: Final = ("key", "ball", "box")

Kind = tuple[str, str]
"""Type and colour of an object."""
KINDS: Final = tuple(tuple((kind, color) for kind in TYPES) for color in COLOR_NAMES)


class Sketch(NamedTuple):
    """A room, as drawn by minigrid's place_agent and add_distractors.

    agent: its cell. direction: 0 right, 1 down, 2 left, 3 up. kinds, cells: of the objects. size: the room's side, with walls.
    A cell is x + size * y.
    """

    agent: int
    direction: int
    kinds: list[Kind]
    cells: list[int]
    size: int

    def place(self, cell: int) -> tuple[int, int]:
        """Return x and y of a cell."""
        return cell % self.size, cell // self.size

    @property
    def reachable(self) -> bool:
        """Whether the agent can walk to all objects, without moving any. Sets of cells are numbers with a bit per cell."""
        size, objects = self.size, sum(1 << cell for cell in self.cells)
        free = _inside(size) & ~objects
        reached, grown = 0, 1 << self.agent
        while grown != reached:
            reached = grown
            grown = (reached | reached << 1 | reached >> 1 | reached << size | reached >> size) & free
        around = reached << 1 | reached >> 1 | reached << size | reached >> size
        return not objects & ~around


@cache
def _inside(size: int) -> int:
    """Return the cells of a room's floor."""
    return sum(1 << x + size * y for x in range(1, size - 1) for y in range(1, size - 1))


def sketch(draw: Callable[[int, int], int], size: int, num_objects: int) -> Sketch:
    """Draw a room. draw: returns an integer from its first argument to its second one, without that."""
    floor = _inside(size)
    agent = draw(0, size) + size * draw(0, size)
    while not floor >> agent & 1:
        agent = draw(0, size) + size * draw(0, size)
    direction = draw(0, 4)
    free = floor & ~(0b111 << agent - 1 | 1 << agent - size | 1 << agent + size)  # no object is next to the agent
    kinds, cells = [], []
    for _ in range(num_objects):
        of_color = KINDS[draw(0, len(KINDS))]
        kinds.append(of_color[draw(0, len(TYPES))])
        cell = draw(0, size) + size * draw(0, size)
        while not free >> cell & 1:
            cell = draw(0, size) + size * draw(0, size)
        free ^= 1 << cell
        cells.append(cell)
    return Sketch(agent, direction, kinds, cells, size)
