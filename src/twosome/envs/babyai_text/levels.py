"""The levels: rooms, objects and missions, drawn in the order of GLAM's, so that a seed gives the same level.

The rules, the missions and their verifiers are minigrid's.
"""

from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Final

from minigrid.core.roomgrid import RoomGrid
from minigrid.envs.babyai.core.roomgrid_level import RejectSampling, RoomGridLevel
from minigrid.envs.babyai.core.verifier import AfterInstr, BeforeInstr, Instr, ObjDesc, OpenInstr, PickupInstr

HELD_OUT: Final = (("box", "yellow"), ("key", "red"), ("ball", "green"))
"""The kinds of objects that no mission of the split train names, and all missions of the split test."""
DOORS: Final = {"train": ("yellow", "green", "blue", "purple"), "test": ("red", "grey")}
"""The colours of locked doors, by split."""

Make = Callable[["Level", Sequence[ObjDesc]], Instr]
"""A mission of the descriptions of its objects; it may draw from the level's generator."""


class Level(RoomGridLevel):
    """A level that is drawn again, from an empty grid, until it is valid."""

    instrs: Instr

    def __init__(self, num_objects: int, room_size: int, num_cols: int = 1) -> None:
        """num_objects: loose objects, without a door's key. room_size: in cells, with the walls. num_cols: rooms side by side."""
        self.num_objects = num_objects
        super().__init__(room_size=room_size, num_rows=1, num_cols=num_cols)

    def _gen_grid(self, width: int, height: int) -> None:
        RoomGrid._gen_grid(self, width, height)  # the reference draws an empty grid once more before the first attempt
        with redirect_stdout(StringIO()):  # minigrid prints a line for each rejected level
            super()._gen_grid(width, height)


class SingleRoom(Level):
    """A level of one room, with a mission about one or two of its objects.

    split: "train" or "test"; None: nothing is held out, as in minigrid's own levels. targets: the number of objects that make
    takes.
    """

    def __init__(self, num_objects: int, room_size: int, split: str | None, targets: int, make: Make) -> None:
        self.split, self.targets, self.make = split, targets, make
        super().__init__(num_objects, room_size)

    def gen_mission(self) -> None:
        """Draw the agent's place, the objects and the mission; raise RejectSampling.

        The draws of a rejected attempt are the reference's only if the checks have its order.
        """
        self.place_agent()
        objects = self.add_distractors(num_distractors=self.num_objects, all_unique=False)
        if self.split is None:
            self.check_objs_reachable()
        kinds = [(each.type, each.color) for each in objects]
        chosen = [self._rand_int(0, len(kinds))]
        while len(chosen) < self.targets:
            second = self._rand_int(0, len(kinds))
            if second != chosen[0] or kinds.count(kinds[second]) > 1:  # the same only if there is another one of its kind
                chosen.append(second)
        self.instrs = self.make(self, [ObjDesc(*kinds[number]) for number in chosen])
        if self.split is not None:
            if any((kinds[number] in HELD_OUT) != (self.split == "test") for number in chosen):
                raise RejectSampling("the mission belongs to the other split")
            self.check_objs_reachable()


class Unlock(Level):
    """A level of two rooms side by side with a locked door between them, whose key is in the agent's room."""

    def __init__(self, num_objects: int, room_size: int, split: str) -> None:
        self.split = split
        super().__init__(num_objects, room_size, num_cols=2)

    def gen_mission(self) -> None:
        """Draw the door, the key, the other objects, the agent's place and the mission; raise RejectSampling."""
        color = self._rand_elem(DOORS[self.split])
        while True:
            column, side = self._rand_int(0, 2), self._rand_int(0, 4)
            locked = self.get_room(column, 0)
            if locked.neighbors[side]:
                break
        self.add_door(column, 0, side, color, locked=True)
        while self.get_room(column := self._rand_int(0, 2), 0) is locked:
            pass
        self.add_object(column, 0, "key", color)
        self.add_distractors(column, 0, self.num_objects, all_unique=False)
        self.place_agent()
        while self.room_from_pos(*self.agent_pos) is locked:
            self.place_agent()
        named = self.split == "test" or not self._rand_bool()
        self.instrs = OpenInstr(ObjDesc("door", color if named else None))
        self.check_objs_reachable()


def one(instruction: Callable[[ObjDesc], Instr]) -> Make:
    """Return a mission about one object."""
    return lambda level, objects: instruction(objects[0])


def sequence(instruction: Callable[[ObjDesc], Instr]) -> Make:
    """Return "pick up D1, then <instruction> D2" or "<instruction> D2 after you pick up D1", half each."""

    def make(level: Level, objects: Sequence[ObjDesc]) -> Instr:
        first, then = PickupInstr(objects[0]), instruction(objects[1])
        return BeforeInstr(first, then) if level._rand_bool() else AfterInstr(then, first)

    return make
