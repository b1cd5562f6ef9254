"""The symbolic observation: the agent's view and the mission's words as numbers."""

from itertools import chain
from typing import Final

import gymnasium
import numpy as np
from minigrid.core.constants import COLOR_TO_IDX
from numpy.typing import NDArray

from twosome.envs.babyai_text.view import SIZE, View

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

SHAPE: Final = (SIZE, SIZE, len(HIGHEST))
"""The image with which an observation begins: columns, rows and codes of a cell."""

_TOKENS: Final = {word: token for token, word in enumerate(VOCABULARY, start=1)}
_CODES: Final = SIZE * SIZE * len(HIGHEST)


def observation_space() -> gymnasium.spaces.Box:
    """Return the space of all tasks' observations."""
    high = HIGHEST * SIZE * SIZE + (len(VOCABULARY),) * MISSION_WORDS
    return gymnasium.spaces.Box(0, np.array(high, dtype=np.float32), dtype=np.float32)


def mission_tokens(mission: str) -> NDArray[np.float32]:
    """Return the tokens of a mission's words, without commas; 0 after its end."""
    tokens = [_TOKENS[word] for word in mission.replace(",", "").split()]
    return np.array(tokens + [0] * (MISSION_WORDS - len(tokens)), dtype=np.float32)


def observe(view: View, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an observation. tokens: of the mission."""
    obs = np.empty(_CODES + MISSION_WORDS, dtype=np.float32)
    obs[:_CODES] = tuple(chain.from_iterable(view.codes))
    obs[_CODES:] = tokens
    return obs
