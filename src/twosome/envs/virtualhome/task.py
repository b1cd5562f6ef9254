"""Household tasks: each is a YAML file in `tasks`, checked against the scene and the simulator's vocabulary."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from virtualhome_eval.simulation.evolving_graph.environment import Relation
from virtualhome_eval.simulation.evolving_graph.environment import State as NodeState
from virtualhome_eval.simulation.evolving_graph.scripts import Action as ScriptAction

from twosome.envs.virtualhome.scene import CHARACTER, Scene, load_scene
from twosome.envs.virtualhome.simulator import Fact, State
from twosome.errors import UserError, unknown_choice

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
    """Return the task of this name. Raises UserError for an unknown name, and for a file with unknown objects or actions."""
    if name not in task_names():
        raise unknown_choice("task", name, task_names())
    return make_task(name, yaml.safe_load((FOLDER / f"{name}.yaml").read_text()), load_scene())


def make_task(name: str, content: dict[str, Any], scene: Scene) -> Task:
    """Return the task of a file's content. Raises UserError."""
    fields = ("goal", "success", "objects", "actions")
    if not isinstance(content, dict) or set(content) != set(fields):
        raise UserError(f"task={name}: expected the fields {', '.join(fields)} in tasks/{name}.yaml")
    objects = content["objects"]
    for each in objects:
        if each not in scene.things:
            raise unknown_choice(f"task={name}: objects", each, scene.things)
    rooms = {room: entry.words for room, entry in scene.rooms.items()}
    known = {CHARACTER, *rooms, *objects}
    actions = [Action(("WALK", room), f"walk to the {words}") for room, words in rooms.items()]
    actions += [Action(_script(name, line, known), phrase) for line, phrase in content["actions"].items()]
    success = tuple(tuple(_fact(name, each, known) for each in line.split("|")) for line in content["success"])
    bits = tuple(_bits(scene, tuple(objects), [action.script for action in actions]))
    return Task(name, content["goal"], success, rooms, objects, tuple(actions), bits)


def _script(task: str, line: str, known: set[str]) -> Fact:
    """Parse a line of script, as in "PUTIN pancake microwave"."""
    verb, *names = line.split()
    if verb not in ScriptAction.__members__:
        raise unknown_choice(f"task={task}: actions", verb, ScriptAction.__members__)
    if len(names) != ScriptAction[verb].value[1]:
        raise UserError(f"task={task}: actions: {line}: expected {ScriptAction[verb].value[1]} objects after {verb}")
    _check_names(task, "actions", names, known)
    return (verb, *names)


def _fact(task: str, text: str, known: set[str]) -> Fact:
    """Parse a fact, as in "tv ON" or "pancake INSIDE microwave"."""
    words = tuple(text.split())
    if len(words) not in (2, 3):
        raise UserError(f"task={task}: success: {text.strip()}: expected <object> <state> or <object> <relation> <object>")
    vocabulary = set(NodeState.__members__) if len(words) == 2 else {name.partition("_")[0] for name in Relation.__members__}
    if words[1] not in vocabulary:
        raise unknown_choice(f"task={task}: success", words[1], vocabulary)
    _check_names(task, "success", words[::2], known)
    return words


def _check_names(task: str, field: str, names: Any, known: set[str]) -> None:
    for each in names:
        if each not in known:
            raise unknown_choice(f"task={task}: {field}", each, known)


def _bits(scene: Scene, objects: tuple[str, ...], scripts: list[Fact]) -> Iterator[tuple[str, Fact]]:
    """Yield the observation's fields: the agent's room, then for each object whether it is in sight and close, and its states."""
    for room in scene.rooms:
        yield f"in_{room}", (CHARACTER, "INSIDE", room)
    for name in objects:
        yield f"see_{name}", (name, SEEN)
        yield f"close_to_{name}", (CHARACTER, "CLOSE", name)
        looks = [("LOOKAT", name)] if "LOOKABLE" in scene.things[name].properties else []
        for verb, owner, field, fact in FIELDS:
            for script in (*scripts, *looks):
                if script[0] == verb and script[owner] == name:
                    yield field.format(*script), tuple(word.format(*script) for word in fact)
