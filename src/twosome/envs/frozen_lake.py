"""Gymnasium's FrozenLake in words: the environment, its maps, its prompts and its picture."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import count
from typing import Any, ClassVar, Final, NamedTuple
from zlib import crc32

import gymnasium
import numpy as np
from gymnasium.envs.toy_text import frozen_lake as gymnasiums
from gymnasium.envs.toy_text.utils import categorical_sample
from numpy.typing import NDArray

from twosome.envs.drawing import Picture
from twosome.envs.optimum import Transition
from twosome.envs.options import (
    SPLITS,
    Principles,
    check_number,
    check_render_mode,
    check_whole,
    find_prompter,
    join,
    valid_action,
)
from twosome.errors import check_choice

SIZES: Final = {"4x4": 4, "8x8": 8}
LIMITS: Final = {"4x4": 100, "8x8": 200}  # steps of an episode in gymnasium's registry
ACTIONS: Final = ("left", "down", "right", "up")
STEPS: Final = ((0, -1), (1, 0), (0, 1), (-1, 0))  # rows and columns, by action
AROUND: Final = {
    (0, -1): "to the left", (0, 1): "to the right", (-1, 0): "above", (1, 0): "below", (-1, -1): "at the upper left",
    (-1, 1): "at the upper right", (1, -1): "at the lower left", (1, 1): "at the lower right",
}  # fmt: skip
CELL: Final = 64  # pixels

Map = tuple[str, ...]
"""The rows of a lake, in gymnasium's letters: S start, F ice, H hole, G flag."""


class State(NamedTuple):
    """A lake, and the number of the agent's cell, row by row."""

    map: Map
    cell: int

    def tile(self, step: tuple[int, int] = (0, 0)) -> str:
        """Return the letter of the cell that is so many rows and columns away, or an empty text outside of the lake."""
        size = len(self.map)
        row, column = self.cell // size + step[0], self.cell % size + step[1]
        return self.map[row][column] if 0 <= row < size and 0 <= column < size else ""


class FrozenLakeEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """
    ## Mission

    An agent crosses a frozen lake, from its upper left corner to the flag in the lower right corner, around the holes in the
    ice. The rules are those of gymnasium's `FrozenLake-v1`, of which this environment takes the table of transitions.

    ## Maps

    A lake has 4 x 4 cells (task `4x4`) or 8 x 8 (task `8x8`). A map is drawn for each episode, uniformly from `num_maps` maps.
    These are gymnasium's `generate_random_map` of the seeds 0, 1, 2, ..., of which each cell but the corners is a hole with
    probability 0.2, and in which a way leads to the flag. A map belongs to the split `train` if the CRC-32 of its letters is
    even, otherwise to `test`; so no map is in both. A map can come from several seeds, mostly one with few holes.

    ## Action space

    `Discrete(4)`: 0 left, 1 down, 2 right, 3 up. On ice that is not slippery, the actions that lead against the edge cannot be
    chosen; on slippery ice all can, since an agent at the edge can also slip along it. With `slippery`, a step goes into its
    direction, or into one of the two directions aside, with probability 1/3 each. A step against the edge changes nothing.

    ## Observation space

    `Box` of float32, 32 (`4x4`) or 128 (`8x8`) numbers: for each cell, row by row, whether it is a hole; then for each cell
    whether the agent is there.

    ## Info

    At reset and at every step: `prompt`, which tells the holes in the eight cells around the agent, and the way to the flag;
    `action_ids` and `action_prompts`; `affordances`, the probability that an action leads into its direction; `state`, the map
    and the agent's cell; `duration`, 1 (0 at reset); `primitive_steps` since the episode began; `success`, whether the flag was
    just reached.

    ## Rewards

    +1 when the flag is reached, and `step_penalty` for every step.

    ## Termination and truncation

    *Terminated* at the flag and in a hole. *Truncated* after `max_primitive_steps` steps.

    ## Ids

    `twosome/FrozenLake-v0`.

    ## Options

    | option | default | meaning |
    |---|---|---|
    | `task` | `"4x4"` | `"4x4"` or `"8x8"` |
    | `prompt` | `"default"` | the wording: a name in `PROMPTERS`, `package.module:function`, a function |
    | `split` | `"train"` | `"train"` or `"test"`: the maps |
    | `num_maps` | 500 | the number of the split's maps; None: gymnasium's own map of this size, and no other |
    | `slippery` | False | whether the ice is slippery |
    | `max_primitive_steps` | None | when the episode is truncated; None: 100 (`4x4`) or 200 (`8x8`), as in gymnasium |
    | `step_penalty` | 0.0 | for every step |
    | `render_mode` | None | `"rgb_array"`: a picture |
    """

    tasks: ClassVar[tuple[str, ...]] = tuple(SIZES)
    action_names: ClassVar[tuple[str, ...]] = ACTIONS
    tests: ClassVar[dict[str, dict[str, Any]]] = {"unseen_maps": {"kwargs.split": "test"}}
    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 - gymnasium's own declaration

    def __init__(
        self,
        task: str = "4x4",
        prompt: "str | Prompter" = "default",
        split: str = "train",
        num_maps: int | None = 500,
        slippery: bool = False,
        max_primitive_steps: int | None = None,
        step_penalty: float = 0.0,
        render_mode: str | None = None,
    ) -> None:
        check_choice("task", task, SIZES)
        check_choice("split", split, SPLITS)
        if num_maps is not None:
            check_whole("num_maps", num_maps, 1, note=", or null for gymnasium's own map")
        if max_primitive_steps is not None:
            check_whole("max_primitive_steps", max_primitive_steps, 1, note=", or null for gymnasium's")
        check_number("step_penalty", step_penalty, -1e15, 1e15, "a finite number")  # squares of larger ones overflow float32
        check_render_mode(render_mode, self.metadata["render_modes"])
        self._prompter = find_prompter(prompt, PROMPTERS)
        self._maps = (tuple(gymnasiums.MAPS[task]),) if num_maps is None else maps(SIZES[task], split, num_maps)
        self._slippery, self._step_penalty = bool(slippery), float(step_penalty)
        self._max_primitive_steps = max_primitive_steps or LIMITS[task]
        self.render_mode = render_mode
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self.observation_space = gymnasium.spaces.Box(0, 1, (2 * SIZES[task] ** 2,), np.float32)
        self._state, self._primitive_steps, self._over = State(self._maps[0], 0), 0, True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode on a map that is drawn."""
        super().reset(seed=seed)
        self._state = State(self._maps[int(self.np_random.integers(len(self._maps)))], 0)
        self._primitive_steps, self._over = 0, False
        return self._decision(duration=0)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Do a step, which may slip."""
        outcomes = self.transition(self._state, valid_action(action, self._over, len(ACTIONS)))
        drawn = categorical_sample([probability for probability, _ in outcomes], self.np_random)
        self._state, reward, _, terminated = outcomes[int(drawn)][1]
        self._primitive_steps += 1
        truncated = not terminated and self._primitive_steps >= self._max_primitive_steps
        self._over = terminated or truncated
        obs, info = self._decision(duration=1)
        return obs, reward, terminated, truncated, info

    def _decision(self, duration: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Return the observation and info of the current state."""
        state, action_ids = self._state, self.admissible(self._state)
        prompt, action_prompts = self._prompter(state, self._slippery, action_ids)
        share = 1 / 3 if self._slippery else 1.0
        info = {
            "prompt": prompt,
            "action_ids": action_ids,
            "action_prompts": action_prompts,
            "affordances": tuple(share if state.tile(STEPS[action]) else 0.0 for action in action_ids),
            "state": state,
            "duration": duration,
            "primitive_steps": self._primitive_steps,
            "success": state.tile() == "G",
        }
        holes = [tile == "H" for row in state.map for tile in row]
        places = [cell == state.cell for cell in range(len(holes))]
        return np.array(holes + places, dtype=np.float32), info

    @property
    def initial_states(self) -> list[tuple[float, State]]:
        """The states after a reset (this property and the next two methods are for `optimum.Searchable`)."""
        return [(number / len(self._maps), State(each, 0)) for each, number in Counter(self._maps).items()]

    def admissible(self, state: State) -> tuple[int, ...]:
        """Return the ids of the actions that can be chosen in a state."""
        return tuple(action for action, step in enumerate(STEPS) if self._slippery or state.tile(step))

    def transition(self, state: State, action: int) -> list[tuple[float, Transition]]:
        """Return the possible outcomes of an action with their probabilities."""
        return [
            (probability, Transition(State(state.map, cell), reward + self._step_penalty, 1, ended))
            for probability, cell, reward, ended in table(state.map, self._slippery)[state.cell][action]
        ]

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture of the lake, (height, width, 3); None without a render mode."""
        return draw(self._state) if self.render_mode else None


@lru_cache(maxsize=1024)
def table(lake: Map, slippery: bool) -> Mapping[int, Mapping[int, list[tuple[float, int, float, bool]]]]:
    """Return gymnasium's table of a map: by cell and action, the probability, cell, reward and end of each outcome."""
    return gymnasiums.FrozenLakeEnv(desc=list(lake), is_slippery=slippery).P


@cache
def maps(size: int, split: str, number: int) -> tuple[Map, ...]:
    """Return the first maps of a split, from the seeds 0, 1, 2, ..."""
    drawn = (tuple(gymnasiums.generate_random_map(size, seed=seed)) for seed in count())
    own = (lake for lake in drawn if crc32("".join(lake).encode()) % 2 == SPLITS.index(split))
    return tuple(next(own) for _ in range(number))


Prompter = Callable[[State, bool, tuple[int, ...]], tuple[str, tuple[str, ...]]]
"""From a state, whether the ice is slippery, and the actions that can be chosen, to the prompt and the action prompts."""


class PrinciplePrompter(Principles):
    """Words for a lake that follow the principles of prompt design."""

    def __call__(self, state: State, slippery: bool, action_ids: tuple[int, ...]) -> tuple[str, tuple[str, ...]]:
        """Return the prompt and the action prompts of a state."""
        return self.worded(_scene(state, slippery), "reach the flag", (self._phrase(state, action) for action in action_ids))

    def _phrase(self, state: State, action: int) -> str:
        word = f"go {ACTIONS[action]}" if STEPS[action][0] else f"go to the {ACTIONS[action]}"
        tile = state.tile(STEPS[action])
        if self.explicit:
            return f"{word}, {({'G': 'to the flag', 'H': 'into a hole', '': 'against the edge'}).get(tile, 'onto ice')}"
        return f"{word} to the flag" if self.adaptation and tile == "G" else word


PROMPTERS: Final[Mapping[str, Prompter]] = PrinciplePrompter.named()


def _scene(state: State, slippery: bool) -> Iterator[str]:
    """Yield what the agent knows: the place, the holes in the cells around it, the way to the flag."""
    place = {"H": "You are in a hole in the ice of", "G": "You are at the flag on"}.get(state.tile(), "You stand on")
    yield f"{place} a {'slippery ' if slippery else ''}frozen lake."
    holes = [where for step, where in AROUND.items() if state.tile(step) == "H"]
    yield f"There {'are holes' if len(holes) > 1 else 'is a hole'} {join(holes)}." if holes else "There is no hole around you."
    size = len(state.map)
    ways = ((size - 1 - state.cell // size, "down"), (size - 1 - state.cell % size, "to the right"))
    if way := [f"{steps} step{'s' * (steps > 1)} {where}" for steps, where in ways if steps]:
        yield f"The flag is {join(way)}."


def draw(state: State) -> NDArray[np.uint8]:
    """Return a picture of the lake, (height, width, 3)."""
    size = len(state.map)
    picture = Picture(size, size, CELL, "#bfe3f5")
    for row, column in np.ndindex(size, size):
        picture.box(column, row, 1, 1, "#dff2fb", "#bfe3f5")
        if state.map[row][column] == "H":
            picture.disc(column + 0.5, row + 0.5, 0.38, "#1f4e79", "#8fb8d6")
    picture.box(size - 0.52, size - 0.88, 0.06, 0.76, "#3a312c")
    picture.box(size - 0.48, size - 0.88, 0.36, 0.28, "#e4572e")
    picture.person(state.cell % size + 0.5, state.cell // size + 0.5, "#2f6b4a")
    return picture.pixels()
