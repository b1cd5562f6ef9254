"""Prompters: pure functions from a state to the words of a decision.

A prompter takes a state and returns the observation prompt and one action prompt per action that changes something, in the
order of their ids. ``prompt + " " + action_prompt`` reads as a text. `PROMPTERS` holds the named ones; the environment's
option ``prompt`` also takes any such function, or its import path ``package.module:function``.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from twosome.envs.options import Principles, join
from twosome.envs.sokoban.room import DIRECTIONS, Room, State, after, effective, neighbour

Prompter = Callable[[State], tuple[str, tuple[str, ...]]]


class PrinciplePrompter(Principles):
    """Words for a room that follow the principles of prompt design."""

    def __call__(self, state: State) -> tuple[str, tuple[str, ...]]:
        """Return the prompt and the action prompts of a state."""
        phrase = explicit_phrase if self.explicit else adapted_phrase if self.adaptation else fixed_phrase
        goal = "push the box onto the target" if len(state.boxes) == 1 else "push every box onto a target"
        return self.worded(_scene(state), goal, (phrase(state, action) for action, _ in effective(state)))


PROMPTERS: Final[Mapping[str, Prompter]] = PrinciplePrompter.named()


def _scene(state: State) -> Iterable[str]:
    """Yield where the boxes and the free targets are, the nearest first, and which walls are next to the player and the boxes.

    Walls farther away are not told.
    """
    room, player, boxes = state
    one = len(boxes) == 1
    article, goal = ("The", "") if one else ("A", " to the nearest free target")
    free = _nearest_first(room, player, room.targets - boxes)
    ordered = _nearest_first(room, player, boxes)
    for box in ordered:
        place = _way(room, player, box)
        if box in room.targets:
            yield f"A box on a target is {place} from you."
            continue
        push = _way(room, box, _nearest_first(room, box, free)[0])
        yield f"{article} box is {place} from you and has to go {push}{goal}."
    for target in free:
        name = "target" if one else "free target"
        if target == player:
            yield f"You stand on {article.lower()} {name}."
        else:
            yield f"{article} {name} is {_way(room, player, target)} from you."
    if walls := _walls(room, player):
        yield f"Next to you, {walls}."
    for box in ordered:
        if box not in room.targets and (walls := _walls(room, box)):
            yield f"Next to {'the box' if one else f'the box {_way(room, player, box)} from you'}, {walls}."
    for action, direction in enumerate(DIRECTIONS):
        if neighbour(room, player, action) in boxes and after(state, action) is None:
            yield f"You cannot push the box {direction}."


def _nearest_first(room: Room, cell: int, others: Iterable[int]) -> list[int]:
    """Return cells by their distance from a cell in steps; those at the same distance row by row."""
    return sorted(others, key=lambda other: (sum(map(abs, _difference(room, cell, other))), other))


def _difference(room: Room, cell: int, other: int) -> tuple[int, int]:
    """Return the rows down and the columns to the right from a cell to another."""
    return other // room.size - cell // room.size, other % room.size - cell % room.size


def _way(room: Room, cell: int, other: int) -> str:
    """Return the way from a cell to another, as in "2 steps up and 1 step left"."""
    down, right = _difference(room, cell, other)
    parts = ((abs(down), "down" if down > 0 else "up"), (abs(right), "right" if right > 0 else "left"))
    return join(f"{count} step{'s' * (count > 1)} {direction}" for count, direction in parts if count)


def _walls(room: Room, cell: int) -> str:
    """Return where walls are next to a cell, as in "walls are up and left"; empty if there are none."""
    found = [direction for action, direction in enumerate(DIRECTIONS) if neighbour(room, cell, action) not in room.floor]
    return f"{'walls are' if len(found) > 1 else 'a wall is'} {join(found)}" if found else ""


def fixed_phrase(state: State, action: int) -> str:
    """Return an action's words, whatever the state."""
    return f"go {DIRECTIONS[action]}"


def adapted_phrase(state: State, action: int) -> str:
    """Return an action's words in a state: whether it pushes a box."""
    pushes = neighbour(state.room, state.player, action) in state.boxes
    return f"push the box {DIRECTIONS[action]}" if pushes else f"step {DIRECTIONS[action]}"


def explicit_phrase(state: State, action: int) -> str:
    """Return an action's words that name what the player steps on, or what a pushed box leaves and reaches."""
    room, player, boxes = state
    phrase, target = adapted_phrase(state, action), "the target" if len(boxes) == 1 else "a target"
    cell = neighbour(room, player, action)
    if cell not in boxes:
        return f"{phrase} onto {target}" if cell in room.targets else phrase
    beyond = neighbour(room, cell, action)
    if cell in room.targets:
        phrase = f"{phrase} off {target}"
    if beyond in room.targets:
        return f"{phrase} onto {'another' if cell in room.targets else target}"
    walled = [neighbour(room, beyond, direction) not in room.floor for direction in range(4)]
    if any(walled[:2]) and any(walled[2:]):
        return f"{phrase} into a corner"
    return f"{phrase} against a wall" if walled[action] else phrase
