"""What the agent sees: minigrid's encoding of its view, the sentences that describe it, and the symbolic observation."""

from functools import cache
from typing import Final

import gymnasium
import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, IDX_TO_COLOR, IDX_TO_OBJECT
from minigrid.core.world_object import WorldObj
from numpy.typing import NDArray

from twosome.envs.babyai_text.prompts import Language

SIZE: Final = 7
"""Rows and columns of the view. The agent is in the middle of the last row and looks along its column to the first row."""

Code = tuple[int, ...]
"""minigrid's encoding of a cell: type, colour, state of a door."""
View = list[Code]
"""The codes of the cells, column by column from the left, each from the farthest row to the agent's. The agent's own cell has
what it carries."""

EMPTY: Final = (1, 0, 0)
WALL: Final = (2, 5, 0)
DOOR, KEY, BALL, BOX = 4, 5, 6, 7
LOOSE: Final = (KEY, BALL, BOX)
STATES: Final = ("open", "closed", "locked")

AGENT: Final = 3 * SIZE + 6
FRONT: Final = 3 * SIZE + 5
LINES: Final = (
    [3 * SIZE + 6 - steps for steps in range(1, 7)],
    [(3 - steps) * SIZE + 6 for steps in range(1, 4)],
    [(3 + steps) * SIZE + 6 for steps in range(1, 4)],
)
"""The cells in a line with the agent, from near to far: ahead, to the left, to the right."""

VOCABULARY: Final = (
    *("go", "to", "pick", "up", "put", "next", "open", "the", "a", "then", "after", "you"),
    *COLOR_TO_IDX,
    *("key", "ball", "box", "door"),
)
"""The words of all missions; a word's token is its place, from 1 on."""
MISSION_WORDS: Final = 12
"""Words of the longest mission, as in "go to the red key after you pick up the red key"."""
HIGHEST: Final = (10, 5, 2)
"""The highest codes of a cell: minigrid's types, colours and states of doors."""


def observation_space() -> gymnasium.spaces.Box:
    """Return the space of all tasks' observations: the codes of the view's cells, then the tokens of the mission's words."""
    high = HIGHEST * SIZE * SIZE + (len(VOCABULARY),) * MISSION_WORDS
    return gymnasium.spaces.Box(0, np.array(high, dtype=np.float32), dtype=np.float32)


def mission_tokens(mission: str) -> NDArray[np.float32]:
    """Return the tokens of a mission's words, without commas; 0 after its end."""
    tokens = [VOCABULARY.index(word) + 1 for word in mission.replace(",", "").split()]
    return np.array(tokens + [0] * (MISSION_WORDS - len(tokens)), dtype=np.float32)


def describe(view: View, carrying: WorldObj | None, language: Language) -> tuple[str, ...]:
    """Return the sentences that describe a view: what is carried, walls in a line with the agent, objects and doors."""
    sentences = [] if carrying is None else [language.carry(carrying.type, carrying.color)]
    for line in LINES:
        first = next((cell for cell in line if view[cell][0] > EMPTY[0]), None)
        if first is not None and view[first] == WALL:
            sentences.append(_sentence(language, WALL, first))
    seen = ((cell, code) for cell, code in enumerate(view) if code[0] in (DOOR, *LOOSE) and cell != AGENT)
    return (*sentences, *(_sentence(language, code, cell) for cell, code in seen))


@cache
def _sentence(language: Language, code: Code, cell: int) -> str:
    """Return the sentence about a wall, object or door in a cell of the view."""
    column, row = divmod(cell, SIZE)
    place = column - SIZE // 2, SIZE - 1 - row
    if code == WALL:
        return language.wall(*place)
    return language.thing(IDX_TO_OBJECT[code[0]], IDX_TO_COLOR[code[1]], STATES[code[2]], *place)


def affordances(view: View, carrying: WorldObj | None, num_actions: int) -> tuple[float, ...]:
    """Return whether each of the first actions would have an effect, 1 or 0."""
    kind, color, state = front = view[FRONT]
    unlocks = carrying is not None and carrying.type == "key" and COLOR_TO_IDX[carrying.color] == color
    opens = kind == DOOR and (STATES[state] != "locked" or unlocks)
    moves = front == EMPTY or (kind == DOOR and STATES[state] == "open")
    picks, drops = kind in LOOSE and carrying is None, front == EMPTY and carrying is not None
    effects = (True, True, moves, picks, drops, opens or kind == BOX, False, False, False)
    return tuple(map(float, effects[:num_actions]))
