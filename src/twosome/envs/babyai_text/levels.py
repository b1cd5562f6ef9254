"""The levels: rooms, objects and missions, drawn in the order of GLAM's, so that a seed gives the same level.

The rules, the missions and their verifiers are minigrid's.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from minigrid.core.roomgrid import RoomGrid
from minigrid.core.world_object import Ball, Box, Key
from minigrid.envs.babyai.core.roomgrid_level import RejectSampling, RoomGridLevel
from minigrid.envs.babyai.core.verifier import AfterInstr, BeforeInstr, Instr, ObjDesc, OpenInstr, PickupInstr

from twosome.envs.babyai_text.sketch import Sketch, sketch

HELD_OUT: Final = (("box", "yellow"), ("key", "red"), ("ball", "green"))
"""The kinds of objects that no mission of the split train names, and all missions of the split test."""
DOORS: Final = {"train": ("yellow", "green", "blue", "purple"), "test": ("red", "grey")}
"""The colours of locked doors, by split."""
OBJECTS: Final = {"key": Key, "ball": Ball, "box": Box}
ATTEMPTS: Final = 1_000_000

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
        """Draw a level as RoomGridLevel does, but without printing a line for each rejected one."""
        RoomGrid._gen_grid(self, width, height)  # the reference draws an empty grid once more before the first attempt
        for _ in range(ATTEMPTS):
            RoomGrid._gen_grid(self, width, height)
            try:
                self.gen_mission()
                self.validate_instrs(self.instrs)
            except (RecursionError, RejectSampling):  # RecursionError: no place for an object was found
                continue
            self.surface = self.mission = self.instrs.surface(self)
            return
        raise RuntimeError(
            f"no valid level in {ATTEMPTS:,} attempts with {self.num_objects} objects in rooms of {self.room_size}"
        )

    def gen_obs(self) -> dict[str, Any]:
        """Return nothing, since `view.look` computes the agent's view in less time."""
        return {}


class SingleRoom(Level):
    """A level of one room, with a mission about one or two of its objects.

    split: "train" or "test"; None: nothing is held out, as in minigrid's own levels. targets: the number of objects that make
    takes.
    """

    def __init__(self, num_objects: int, room_size: int, split: str | None, targets: int, make: Make) -> None:
        self.split, self.targets, self.make = split, targets, make
        super().__init__(num_objects, room_size)

    def gen_mission(self) -> None:
        """Draw the agent's place, the objects and the mission."""
        room = None
        while room is None:
            room = self._attempt()
        self.agent_pos, self.agent_dir = room.place(room.agent), room.direction
        for (name, color), cell in zip(room.kinds, room.cells, strict=True):
            self.put_obj(OBJECTS[name](color), *room.place(cell))

    def _attempt(self) -> Sketch | None:
        """Draw a room and its mission; return None if they are not valid.

        The draws of a rejected attempt are the reference's only if the checks have its order.
        """
        room = sketch(self._rand_int, self.room_size, self.num_objects)
        if self.split is None and not room.reachable:
            return None
        chosen = [room.kinds[number] for number in self._targets(room)]
        self.instrs = self.make(self, [ObjDesc(*each) for each in chosen])
        if self.split is None:
            return room
        fitting = all((each in HELD_OUT) == (self.split == "test") for each in chosen)
        return room if fitting and room.reachable else None

    def _targets(self, room: Sketch) -> list[int]:
        """Draw the mission's objects; the second is not the first if that is the only one of its kind."""
        count = len(room.kinds)
        chosen = [self._rand_int(0, count)]
        if self.targets == 2:
            alone = room.kinds.count(room.kinds[chosen[0]]) == 1
            second = self._rand_int(0, count)
            while alone and second == chosen[0]:
                second = self._rand_int(0, count)
            chosen.append(second)
        return chosen


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
