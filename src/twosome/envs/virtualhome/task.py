"""Household tasks: each is a YAML file in `tasks`."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from twosome.envs.virtualhome.simulator import CHARACTER, Fact, State, load_scene
from twosome.errors import check_choice

FOLDER: Final = Path(__file__).parent / "tasks"
SEEN: Final = "SEEN"  # (name, SEEN) is a fact if a thing is in sight; it is not a state of the simulator
FIELDS: Final[tuple[tuple[str, int, str, Fact], ...]] = (
    ("GRAB", 1, "hold_{1}", (CHARACTER, "HOLDS", "{1}")),
    ("PUTBACK", 1, "{1}_on_{2}", ("{1}", "ON", "{2}")),
    ("LOOKAT", 1, "is_face_{1}", (CHARACTER, "FACING", "{1}")),
    ("SWITCHON", 1, "is_{1}_on", ("{1}", "ON")),
    ("SIT", 1, "is_sit_{1}", (CHARACTER, "ON", "{1}")),
    ("OPEN", 1, "is_{1}_open", ("{1}", "OPEN")),
    ("PUTIN", 2, "{1}_in_{2}", ("{1}", "INSIDE", "{2}")),
)
"""The observation's fields that follow from a task's actions: the action, which of its objects has the field, the field's
name and its fact. Numbers stand for the words of the script."""


class Action(NamedTuple):
    """A macro-action. script: a line of VirtualHome's script, its action and its objects' names. phrase: its prompt."""

    script: Fact
    phrase: str


class Task(NamedTuple):
    """A household task.

    goal: in words, after "To". success: the conditions of the goal, which must all hold; each is a tuple of facts of which one
    must hold. rooms, objects: the words for the rooms and for the task's objects. actions: by id.
    bits: the observation's fields: a name, and the fact that must hold and be in sight.
    """

    name: str
    goal: str
    success: tuple[tuple[Fact, ...], ...]
    rooms: dict[str, str]
    objects: dict[str, str]
    actions: tuple[Action, ...]
    bits: tuple[tuple[str, Fact], ...]

    def succeeded(self, state: State) -> bool:
        """Return whether the goal is reached."""
        return all(any(fact in state for fact in facts) for facts in self.success)


def task_names() -> tuple[str, ...]:
    """Return the names of all tasks."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@lru_cache(maxsize=64)
def load_task(name: str) -> Task:
    """Return the task of this name. Raises UserError for an unknown name, and for unknown objects in the task's file."""
    check_choice("task", name, task_names())
    return make_task(name, yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))


def make_task(name: str, content: dict[str, Any]) -> Task:
    """Return the task of a file's content. Raises UserError for objects that the scene or the task does not have."""
    objects: dict[str, str] = content["objects"]
    rooms = {room: entry.words for room, entry in load_scene().rooms.items()}
    actions = [Action(("WALK", room), f"walk to the {words}") for room, words in rooms.items()]
    actions += [Action(tuple(line.split()), phrase) for line, phrase in content["actions"].items()]
    success = tuple(tuple(tuple(fact.split()) for fact in line.split("|")) for line in content["success"])
    named = [*(each for action in actions for each in action.script[1:])]
    named += [each for facts in success for fact in facts for each in fact[::2]]
    for known, names in ((load_scene().things, list(objects)), ({CHARACTER, *rooms, *objects}, named)):
        for each in names:
            check_choice(f"task={name}: object", each, known)
    bits = tuple(_bits(objects, [action.script for action in actions]))
    return Task(name, content["goal"], success, rooms, objects, tuple(actions), bits)


def _bits(objects: dict[str, str], scripts: list[Fact]) -> Iterator[tuple[str, Fact]]:
    """Yield the observation's fields: the agent's room, then for each object whether it is in sight and close, and its states."""
    for room in load_scene().rooms:
        yield f"in_{room}", (CHARACTER, "INSIDE", room)
    for name in objects:
        yield f"see_{name}", (name, SEEN)
        yield f"close_to_{name}", (CHARACTER, "CLOSE", name)
        looks = [("LOOKAT", name)] if "LOOKABLE" in load_scene().things[name].properties else []
        for verb, owner, field, fact in FIELDS:
            for script in (*scripts, *looks):
                if script[0] == verb and script[owner] == name:
                    yield field.format(*script), tuple(word.format(*script) for word in fact)
