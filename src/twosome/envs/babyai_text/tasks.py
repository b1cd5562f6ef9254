"""The tasks by name: GLAM's five, their mixture, and the levels of its other experiments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from minigrid.envs.babyai.core.verifier import GoToInstr, PickupInstr, PutNextInstr

from twosome import seeding
from twosome.envs.babyai_text.levels import Level, Make, SingleRoom, Unlock, one, sequence
from twosome.envs.babyai_text.prompts import ENGLISH, FRENCH, Language
from twosome.envs.options import check_whole
from twosome.errors import check, check_choice

MIXED: Final = "mixed"


@dataclass(frozen=True)
class Task:
    """A task.

    num_objects: GLAM's number of loose objects. make: the mission; None: the locked door. targets: the number of objects that the
    mission names. least_actions: the number of actions that it needs. holds_out: whether it has the split test.
    """

    num_objects: int
    make: Make | None
    targets: int = 1
    least_actions: int = 6
    holds_out: bool = True
    language: Language = ENGLISH

    def check(self, name: str, split: str, num_actions: int, num_objects: int | None, room_size: int) -> None:
        """Raise UserError for options that do not fit this task.

        The agent must be able to reach all objects. In dense rooms few draws are such: of 16 objects in a room of 8, one of 250.
        So at most half of a room's cells get objects.
        """
        whole = split == "train" or self.holds_out
        check(whole, "split", split, f"train with task={name}, which holds no missions out; or use task=go_to")
        enough = num_actions >= self.least_actions
        check(enough, "num_actions", num_actions, f"6 or 9 with task={name}, which needs more than moving")
        count = self.num_objects if num_objects is None else num_objects
        most = min(16, (room_size - 2) ** 2 // 2 - (self.make is None))  # the locked door has a key
        check_whole("num_objects", count, self.targets, most, f" with task={name} and room_size={room_size}")

    def level(self, split: str, num_objects: int | None, room_size: int) -> Level:
        """Return the task's level, with checked options. num_objects: None for the task's."""
        count = self.num_objects if num_objects is None else num_objects
        if self.make is None:
            return Unlock(count, room_size, split)
        return SingleRoom(count, room_size, split if self.holds_out else None, self.targets, self.make)


MIXTURE: Final = {
    "go_to": Task(9, one(GoToInstr), least_actions=3),
    "pick_up": Task(9, one(PickupInstr)),
    "put_next_to": Task(10, lambda level, objects: PutNextInstr(*objects), targets=2),
    "pick_up_go_to": Task(10, sequence(GoToInstr), targets=2),
    "unlock": Task(8, None),
}
"""The tasks of the mixture, in the order in which they are assigned."""

SINGLE: Final = {
    **MIXTURE,
    "pick_up_pick_up": Task(10, sequence(PickupInstr), targets=2),
    "go_to_local": Task(8, one(GoToInstr), least_actions=3, holds_out=False),
    "go_to_french": Task(8, one(GoToInstr), least_actions=3, holds_out=False, language=FRENCH),
}
"""All tasks but the mixture."""

TASKS: Final = (MIXED, *SINGLE)
"""The values of the option task."""

TESTS: Final[dict[str, dict[str, Any]]] = {
    **{name: {"prompt": name} for name in ("other_nouns", "invented_nouns", "invented_adjectives", "invented_words")},
    **{name: {"prompt": name} for name in ("color_synonyms", "would_like", "have_to")},
    **{name: {"prompt": name} for name in ("action_synonyms", "other_action_synonyms")},
    "new_composition": {"task": "pick_up_pick_up"},
    "held_out_objects": {"task": MIXED, "kwargs.split": "test"},
    "french": {"task": "go_to_french"},
}
"""GLAM's tests of generalisation: the options below ``env`` that each one changes."""


def tasks_of(task: str) -> Mapping[str, Task]:
    """Return the tasks that the option task stands for, by name; raise UserError for an unknown one."""
    check_choice("task", task, TASKS)
    return MIXTURE if task == MIXED else {task: SINGLE[task]}


def assigned(tasks: Mapping[str, Task], index: int, mixture_seed: int | None) -> str:
    """Return the name of the task, one of several, that the environment with this index plays.

    mixture_seed: None assigns the tasks in turn; a number draws a task for each index independently.
    """
    names = list(tasks)
    number = index if mixture_seed is None else _drawn(mixture_seed, index, len(names))
    return names[number % len(names)]


def _drawn(mixture_seed: int, index: int, choices: int) -> int:
    generator = np.random.default_rng(seeding.stream(mixture_seed, f"task of environment {index}"))
    return int(generator.integers(choices))
