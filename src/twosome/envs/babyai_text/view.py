"""What the agent sees: the cells of its view, minigrid's encoding of them, and the sentences that describe them."""

from functools import cache
from typing import Final, NamedTuple

from minigrid.core.constants import COLOR_TO_IDX, IDX_TO_COLOR, IDX_TO_OBJECT
from minigrid.core.world_object import WorldObj
from minigrid.minigrid_env import MiniGridEnv

from twosome.envs.babyai_text.language import Language

SIZE: Final = 7
"""Rows and columns of the view. The agent is in the middle of the last row and looks along its column to the first row."""
ROWS: Final = range(SIZE)

Code = tuple[int, int, int]
"""minigrid's encoding of a cell: type, colour, state of a door."""

UNSEEN: Final = (0, 0, 0)
EMPTY: Final = (1, 0, 0)
WALL: Final = (2, 5, 0)
DOOR, KEY, BALL, BOX = 4, 5, 6, 7
LOOSE: Final = (KEY, BALL, BOX)
STATES: Final = ("open", "closed", "locked")


class View(NamedTuple):
    """The agent's view.

    codes: of the cells, column by column from the left, each from the farthest row to the agent's. The agent's own cell has what
    it carries. carrying: what the agent carries, None for nothing.
    """

    codes: tuple[Code, ...]
    carrying: WorldObj | None


def _cell(column: int, row: int) -> int:
    """Return the index of a cell in `View.codes`."""
    return column * SIZE + row


AGENT: Final = _cell(3, 6)
FRONT: Final = _cell(3, 5)
LINES: Final = (
    [_cell(3, 6 - steps) for steps in range(1, 7)],
    [_cell(3 - steps, 6) for steps in range(1, 4)],
    [_cell(3 + steps, 6) for steps in range(1, 4)],
)
"""The cells in a line with the agent, from near to far: ahead, to the left, to the right."""
THINGS: Final = (DOOR, *LOOSE)


@cache
def _offsets(direction: int) -> tuple[tuple[int, int], ...]:
    """Return the place (x, y) of each cell of the view relative to the agent. direction: 0 right, 1 down, 2 left, 3 up."""
    ahead_x, ahead_y = ((1, 0), (0, 1), (-1, 0), (0, -1))[direction]
    right_x, right_y = -ahead_y, ahead_x
    places = [(SIZE - 1 - row, column - SIZE // 2) for column in ROWS for row in ROWS]
    return tuple((ahead * ahead_x + right * right_x, ahead * ahead_y + right * right_y) for ahead, right in places)


@cache
def _spread(seen: int, clear: int) -> tuple[int, int]:
    """Spread the sight along a row and into the next one, as minigrid's Grid.process_vis does.

    seen: the row's cells that are seen from the row before, a bit per column. clear: its cells that do not block sight. Returns
    the cells of the row that are seen, and those of the next row.
    """
    following = 0
    for columns, step in ((range(SIZE - 1), 1), (range(SIZE - 1, 0, -1), -1)):
        for column in columns:
            if seen & clear & 1 << column:
                seen |= 1 << column + step
                following |= 1 << column | 1 << column + step
    return seen, following


def look(level: MiniGridEnv) -> View:
    """Return the view of a level's agent."""
    width, height, grid = level.width, level.height, level.grid.grid
    x, y = map(int, level.agent_pos)
    codes, clear = [], [0] * SIZE
    for index, (right, down) in enumerate(_offsets(level.agent_dir)):
        column, row = x + right, y + down
        code = WALL  # also outside of the grid
        if 0 <= column < width and 0 <= row < height:
            thing = grid[row * width + column]
            code = EMPTY if thing is None else thing.encode()
        codes.append(code)
        if code != WALL and (code[0] != DOOR or code[2] == 0):
            clear[index % SIZE] |= 1 << index // SIZE
    seen = 1 << SIZE // 2
    for row in reversed(ROWS):
        visible, seen = _spread(seen, clear[row])
        for column in ROWS:
            if not visible & 1 << column:
                codes[_cell(column, row)] = UNSEEN
    codes[AGENT] = EMPTY if level.carrying is None else level.carrying.encode()
    return View(tuple(codes), level.carrying)


def describe(view: View, language: Language) -> tuple[str, ...]:
    """Return the sentences that describe a view: what is carried, walls in a line with the agent, objects and doors."""
    codes, sentences = view.codes, []
    if view.carrying is not None:
        sentences.append(language.carry(view.carrying.type, view.carrying.color))
    for line in LINES:
        first = next((cell for cell in line if codes[cell][0] > EMPTY[0]), None)
        if first is not None and codes[first] == WALL:
            sentences.append(_sentence(language, WALL, first))
    sentences += [_sentence(language, code, cell) for cell, code in enumerate(codes) if code[0] in THINGS and cell != AGENT]
    return tuple(sentences)


@cache
def _sentence(language: Language, code: Code, cell: int) -> str:
    """Return the sentence about a wall, object or door in a cell of the view."""
    column, row = divmod(cell, SIZE)
    place = column - SIZE // 2, SIZE - 1 - row
    if code == WALL:
        return language.wall(*place)
    return language.thing(IDX_TO_OBJECT[code[0]], IDX_TO_COLOR[code[1]], STATES[code[2]], *place)


def affordances(view: View, num_actions: int) -> tuple[float, ...]:
    """Return whether each of the first actions would have an effect, 1 or 0."""
    kind, color, state = front = view.codes[FRONT]
    carrying = view.carrying
    unlocks = carrying is not None and carrying.type == "key" and COLOR_TO_IDX[carrying.color] == color
    opens = kind == DOOR and (STATES[state] != "locked" or unlocks)
    moves = front == EMPTY or (kind == DOOR and STATES[state] == "open")
    picks, drops = kind in LOOSE and carrying is None, front == EMPTY and carrying is not None
    effects = (True, True, moves, picks, drops, opens or kind == BOX, False, False, False)
    return tuple(map(float, effects[:num_actions]))
