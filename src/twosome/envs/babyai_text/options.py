"""Checks of the environment's options. Each raises UserError, which names the option and what was expected."""

from collections.abc import Mapping
from math import isfinite

from twosome.envs.babyai_text.tasks import SPLITS, Task
from twosome.errors import UserError, unknown_choice

NUM_ACTIONS = (3, 6, 9)
ROOM_SIZES = range(5, 51)
MOST_OBJECTS = 16


def check_levels(tasks: Mapping[str, Task], split: str, num_actions: int, num_objects: int | None, room_size: int) -> None:
    """Check the options of levels, for each of the tasks that are played."""
    if split not in SPLITS:
        raise unknown_choice("split", split, SPLITS)
    if not _whole(num_actions) or num_actions not in NUM_ACTIONS:
        raise UserError(f"num_actions={num_actions}: expected 3, 6 or 9; the paper's is 6")
    if not _whole(room_size) or room_size not in ROOM_SIZES:
        raise UserError(
            f"room_size={room_size}: expected a whole number from {ROOM_SIZES[0]} to {ROOM_SIZES[-1]}; the paper's is 8"
        )
    for name, task in tasks.items():
        if split == "test" and not task.holds_out:
            raise UserError(f"split=test: expected train with task={name}, which holds no missions out; or use task=go_to")
        if num_actions < task.least_actions:
            raise UserError(f"num_actions={num_actions}: expected 6 or 9 with task={name}, which needs more than moving")
        _check_num_objects(name, task, num_objects, room_size)


def _check_num_objects(name: str, task: Task, num_objects: int | None, room_size: int) -> None:
    """Check the number of objects.

    The agent must be able to reach all of them. In dense rooms few draws are such: of 16 objects in a room of 8, one of 250. So
    at most half of a room's cells get objects.
    """
    if num_objects is not None and (not _whole(num_objects) or num_objects < task.targets):
        raise UserError(f"num_objects={num_objects}: expected a whole number from {task.targets} on with task={name}, or null")
    count = task.num_objects if num_objects is None else num_objects
    most = min(MOST_OBJECTS, (room_size - 2) ** 2 // 2 - task.has_key)
    if count > most:
        raise UserError(
            f"num_objects={count}: expected at most {most} with task={name} and room_size={room_size}; take fewer objects or a "
            "larger room"
        )


def check_history(past_observations: int, past_actions: int | None) -> None:
    """Check how much of an episode the prompt has."""
    if not _whole(past_observations) or past_observations < 1:
        raise UserError(f"past_observations={past_observations}: expected a whole number from 1 on; the paper's is 3")
    if past_actions is not None and (not _whole(past_actions) or not 0 <= past_actions < past_observations):
        raise UserError(
            f"past_actions={past_actions}: expected 0 to {past_observations - 1}, or null, with "
            f"past_observations={past_observations}; the paper's is 2"
        )


def check_mixture_seed(value: int | None, task: str) -> None:
    """Check the seed of the mixture's tasks."""
    if value is not None and (not _whole(value) or value < 0):
        raise UserError(f"mixture_seed={value}: expected a whole number from 0 on, or null, which assigns the tasks in turn")
    if value is not None and task != "mixed":
        raise UserError(f"mixture_seed={value}: expected null with task={task}; it draws the tasks of task=mixed")


def check_reward_scale(value: float) -> None:
    """Check the factor of the reward."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or not value > 0:
        raise UserError(f"reward_scale={value}: expected a number above 0; 20 in GLAM's experiments")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
