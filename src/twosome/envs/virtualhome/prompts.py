"""Prompters: pure functions from what the agent knows to the words of a decision.

A prompter takes a `Situation`, which holds nothing that is out of sight, and returns the observation prompt and one
action prompt per admissible action. ``prompt + " " + action_prompt`` reads as a text. `PROMPTERS` holds the named ones;
the environment's option ``prompt`` also takes any such function, or its import path ``package.module:function``.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from twosome.envs.options import Principles, join
from twosome.envs.virtualhome.simulator import CHARACTER, Fact, held
from twosome.envs.virtualhome.task import SEEN, Action, Task


class Situation(NamedTuple):
    """What a prompter is told: the task, the facts in sight (with (name, SEEN) for each thing), the admissible actions."""

    task: Task
    seen: frozenset[Fact]
    actions: tuple[Action, ...]

    @property
    def room(self) -> str:
        """The words for the room where the agent is."""
        return next(words for room, words in self.task.rooms.items() if (CHARACTER, "INSIDE", room) in self.seen)

    def target(self, name: str, relation: str) -> str | None:
        """The task's object to which a thing has a relation, as far as can be seen."""
        return next((other for other in self.task.objects if (name, relation, other) in self.seen), None)


Prompter = Callable[[Situation], tuple[str, tuple[str, ...]]]


class PrinciplePrompter(Principles):
    """Words for a household that follow the principles of prompt design."""

    def __call__(self, situation: Situation) -> tuple[str, tuple[str, ...]]:
        """Return the prompt and the action prompts of a situation."""
        phrase = explicit_phrase if self.explicit else adapted_phrase if self.adaptation else _fixed_phrase
        phrases = [phrase(situation, action) for action in situation.actions]
        return self.worded(_sentences(situation), situation.task.goal, phrases)


PROMPTERS: Final[Mapping[str, Prompter]] = PrinciplePrompter.named()


def _sentences(situation: Situation) -> Iterable[str]:
    """Yield where the agent is and what is near, what it holds, what else it sees; each object once."""
    task, seen = situation.task, situation.seen
    in_hand = held(seen)
    around = [name for name in task.objects if (name, SEEN) in seen and name not in in_hand]
    seat = situation.target(CHARACTER, "ON") if (CHARACTER, "SITTING") in seen else None
    near = [name for name in around if (CHARACTER, "CLOSE", name) in seen and name != seat]
    far = [name for name in around if name not in near and name != seat]
    place = f"in the {situation.room}"
    if seat:
        place = f"sitting on the {task.objects[seat]} {place}"
    yield f"You are {place}{', next to ' + _listed(situation, near) if near else ''}."
    yield f"You hold {_listed(situation, in_hand)}."
    if far or not in_hand + tuple(around):
        yield f"You {'also ' if near else ''}see {_listed(situation, far)}."


def _listed(situation: Situation, names: Iterable[str]) -> str:
    """Return things as the agent sees them, as in "the pancake and the closed microwave"; nothing where there are none."""
    described = [_described(situation, name) for name in names]
    return join(described) if described else "nothing"


def _described(situation: Situation, name: str) -> str:
    """Return a thing, with what can change about it."""
    seen, words = situation.seen, situation.task.objects[name]
    scripts = [action.script for action in situation.task.actions]
    if ("OPEN", name) in scripts:
        words = f"{'open' if (name, 'OPEN') in seen else 'closed'} {words}"
    for relation, preposition in (("ON", "on"), ("INSIDE", "in")):
        if place := situation.target(name, relation):
            words = f"{words} {preposition} the {situation.task.objects[place]}"
    if ("SWITCHON", name) in scripts:
        words = f"{words} that is {'on' if (name, 'ON') in seen else 'off'}"
    return f"the {words}"


def adapted_phrase(situation: Situation, action: Action) -> str:
    """Return an action's words in a situation: walking says what is left behind, or what is brought where it belongs."""
    task, (verb, *objects) = situation.task, action.script
    if verb == "WALK" and objects[0] in task.rooms:
        return f"leave the {situation.room} for the {task.rooms[objects[0]]}"
    if verb == "WALK":
        puts = [script for script, _ in task.actions if script[0] in ("PUTIN", "PUTBACK") and script[2] == objects[0]]
        brought = [name for name in held(situation.seen) if any(script[1] == name for script in puts)]
        if brought:
            return f"carry {_listed(situation, brought)} to the {task.objects[objects[0]]}"
    return action.phrase


def explicit_phrase(situation: Situation, action: Action) -> str:
    """Return an action's words that name all it would act on, and with what, as far as the agent can see; nothing of the goal.

    The task's phrase is kept where it already says that: opening, switching and putting name the thing and the place.
    """
    task, (verb, *objects) = situation.task, action.script
    hands = _listed(situation, held(situation.seen)) if held(situation.seen) else ""
    if verb == "WALK" and objects[0] in task.rooms:
        return f"leave the {situation.room} for the {task.rooms[objects[0]]}{f' with {hands}' if hands else ''}"
    if verb == "WALK":
        return f"{f'carry {hands}' if hands else 'walk'} to {_described(situation, objects[0])}"
    if verb == "GRAB":
        place = situation.target(objects[0], "ON") or situation.target(objects[0], "INSIDE")
        return f"{action.phrase} from the {task.objects[place]}" if place else action.phrase
    if verb == "CLOSE":
        inside = [f"the {words}" for name, words in task.objects.items() if (name, "INSIDE", objects[0]) in situation.seen]
        return f"{action.phrase} with {join(inside) if inside else 'nothing'} inside"
    if verb in ("SIT", "STANDUP"):
        faced = situation.target(objects[0], "FACING") if objects else None
        facing = f", facing {_described(situation, faced)}" if faced else ""
        return f"{action.phrase} with {hands or 'empty hands'}{facing}"
    return action.phrase


def _fixed_phrase(_: Situation, action: Action) -> str:
    return action.phrase
