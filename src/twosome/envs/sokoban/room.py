"""Rooms of Sokoban: the rules of a step, a breadth-first search for shortest solutions, and the generator of rooms."""

from collections.abc import Iterator
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np

from twosome.errors import UserError

DIRECTIONS: Final = ("up", "down", "left", "right")
"""The directions of the four actions, by id."""
TEST_SHARE: Final = 5  # one in so many layouts belongs to the test rooms
WALLS: Final = 0.2
"""The probability that a cell inside the outer wall is drawn as a wall."""
MAX_DRAWS: Final = 20_000


class Room(NamedTuple):
    """The layout, which does not change in an episode. Cells are numbered row by row, from 0 in the upper left corner.

    size: cells of a side, with the outer wall. floor: all cells that are not walls. targets: cells of the floor.
    """

    size: int
    floor: frozenset[int]
    targets: frozenset[int]

    @property
    def inside(self) -> list[int]:
        """The cells within the outer wall."""
        return [row * self.size + column for row in range(1, self.size - 1) for column in range(1, self.size - 1)]

    @property
    def split(self) -> str:
        """The split that the room belongs to, by a checksum of its walls and targets."""
        layout = f"{self.size} {sorted(self.floor)} {sorted(self.targets)}"
        return "train" if crc32(layout.encode()) % TEST_SHARE else "test"


class State(NamedTuple):
    """A room with the cells of the player and of the boxes."""

    room: Room
    player: int
    boxes: frozenset[int]

    @property
    def solved(self) -> bool:
        """Whether every box is on a target."""
        return self.boxes <= self.room.targets


def neighbour(room: Room, cell: int, action: int) -> int:
    """Return the cell next to a cell in the direction of an action."""
    return cell + (-room.size, room.size, -1, 1)[action]


def after(state: State, action: int) -> State | None:
    """Return the state after an action; None if it changes nothing: against a wall, or against a box that cannot move."""
    room, _, boxes = state
    cell = neighbour(room, state.player, action)
    if cell not in boxes:
        return State(room, cell, boxes) if cell in room.floor else None
    beyond = neighbour(room, cell, action)
    if beyond not in room.floor or beyond in boxes:
        return None
    return State(room, cell, (boxes - {cell}) | {beyond})


def effective(state: State) -> Iterator[tuple[int, State]]:
    """Yield each action that changes something, with the state after it.

    There always is one: the first action of a solution, or the step back to the cell that the player has just left.
    """
    for action in range(len(DIRECTIONS)):
        if (following := after(state, action)) is not None:
            yield action, following


def shortest_solution(start: State, limit: int) -> list[int] | None:
    """Return the actions of a shortest solution by breadth-first search; None if it would need more actions than limit."""
    reached_by: dict[State, tuple[State, int] | None] = {start: None}
    frontier = [start]
    for _ in range(limit):
        found: list[State] = []
        for state in frontier:
            for action, following in effective(state):
                if following in reached_by:
                    continue
                reached_by[following] = (state, action)
                if following.solved:
                    return _actions_to(following, reached_by)
                found.append(following)
        frontier = found
    return None


def _actions_to(state: State, reached_by: dict[State, tuple[State, int] | None]) -> list[int]:
    """Return the actions that led to a state. reached_by: the state before each one and the action there; None at the start."""
    actions: list[int] = []
    while (step := reached_by[state]) is not None:
        state, action = step
        actions.append(action)
    return actions[::-1]


def draw_room(random: np.random.Generator, size: int, num_boxes: int, split: str, min_steps: int, max_steps: int) -> State:
    """Draw a room of a split at the start of an episode. `SokobanEnv` documents the distribution.

    min_steps, max_steps: of the shortest solution. Raises UserError if no such room is found in MAX_DRAWS draws.
    """
    empty = Room(size, frozenset(), frozenset())
    inside = np.array(empty.inside)
    for _ in range(MAX_DRAWS):
        floor = inside[random.random(len(inside)) >= WALLS]
        if len(floor) <= 2 * num_boxes:
            continue
        player, *placed = random.permutation(floor)[: 2 * num_boxes + 1].tolist()
        boxes, targets = frozenset(placed[:num_boxes]), frozenset(placed[num_boxes:])
        room = Room(size, frozenset(floor.tolist()), targets)
        if room.split != split:
            continue
        start = State(room, player, boxes)
        solution = shortest_solution(start, max_steps)
        if solution is not None and len(solution) >= min_steps:
            return start
    raise UserError(
        f"min_steps={min_steps}: expected options for which rooms are found; in {MAX_DRAWS:,} draws none had a shortest solution "
        f"of {min_steps} to {max_steps} steps"
    )
