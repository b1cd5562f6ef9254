"""Prompters: pure functions from what the agent has seen and done to the words of a decision.

A prompter takes a `Situation` and returns the observation prompt and one action prompt per action. `PROMPTERS` holds those of
`wordings.yaml`; the environment's option ``prompt`` also takes any such function, or its import path ``package.module:function``.
The texts are in English, or in French as in GLAM's test.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import yaml


class Language(ABC):
    """The words of a language.

    actions: the actions' words, by id. possible, goal_of: the headings of the lists of actions and of the goal.
    """

    actions: ClassVar[tuple[str, ...]]
    possible: ClassVar[str]
    goal_of: ClassVar[str]

    @abstractmethod
    def carry(self, kind: str, color: str) -> str:
        """Return the sentence about what the agent carries."""

    @abstractmethod
    def wall(self, aside: int, ahead: int) -> str:
        """Return the sentence about a wall in a line with the agent; see `thing` for the arguments."""

    @abstractmethod
    def thing(self, kind: str, color: str, state: str, aside: int, ahead: int) -> str:
        """Return the sentence about an object or door.

        state: of a door: open, closed or locked. aside: steps to the right, negative to the left. ahead: steps forward.
        """

    @abstractmethod
    def goal(self, mission: str) -> str:
        """Return the goal for minigrid's mission, which is English."""


class _English(Language):
    actions = ("turn left", "turn right", "go forward", "pick up", "drop", "toggle", "sleep", "do nothing", "think")
    possible = "Possible action of the agent"
    goal_of = "Goal of the agent"

    def carry(self, kind: str, color: str) -> str:
        return f"You carry a {color} {kind}"

    def wall(self, aside: int, ahead: int) -> str:
        return f"You see a wall {self._place(aside, ahead)}"

    def thing(self, kind: str, color: str, state: str, aside: int, ahead: int) -> str:
        described = f"{state} {color} {kind}" if kind == "door" else f"{color} {kind}"
        return f"You see a {described} {self._place(aside, ahead)}"

    def goal(self, mission: str) -> str:
        return mission

    @staticmethod
    def _place(aside: int, ahead: int) -> str:
        counts = ((abs(aside), "left" if aside < 0 else "right"), (ahead, "forward"))
        return " and ".join(f"{count} step{'s' * (count > 1)} {where}" for count, where in counts if count)


class _French(Language):
    actions = ("tourner à gauche", "tourner à droite", "aller tout droit", "attraper", "lâcher", "basculer", "dormir",
               "ne rien faire", "penser")  # fmt: skip
    possible = "Actions possibles pour l'agent"
    goal_of = "But de l'agent"
    kinds: Final = {"key": "clef", "ball": "balle", "box": "boîte", "door": "porte"}
    colors: Final = {"red": "rouge", "green": "verte", "blue": "bleue", "purple": "violette", "yellow": "jaune", "grey": "grise"}
    states: Final = {"open": "ouverte", "closed": "fermée", "locked": "fermée à clef"}

    def carry(self, kind: str, color: str) -> str:
        return f"Tu portes une {kind} {color}"  # in English, as in the reference

    def wall(self, aside: int, ahead: int) -> str:
        return f"Tu vois un mur à {self._place(aside, ahead)}"

    def thing(self, kind: str, color: str, state: str, aside: int, ahead: int) -> str:
        described = f"{self.kinds[kind]} {self.colors[color]}" + (f" {self.states[state]}" if kind == "door" else "")
        return f"Tu vois une {described} {self._place(aside, ahead)}"

    def goal(self, mission: str) -> str:
        *_, color, kind = mission.split()
        article = "une" if "a" in mission else "la"  # any letter a, also that of "ball", as in the reference
        return f"aller à {article} {self.kinds[kind]} {self.colors[color]}"

    @staticmethod
    def _place(aside: int, ahead: int) -> str:
        counts = ((abs(aside), "à gauche" if aside < 0 else "à droite"), (ahead, "devant"))
        return " et ".join(f"{count} pas {where}" for count, where in counts if count)


ENGLISH: Final = _English()
FRENCH: Final = _French()


class Situation(NamedTuple):
    """The information of a decision.

    language: of the texts. mission: minigrid's, in English. num_actions: the actions are the first ones of the language.
    observations: the latest ones, each a tuple of sentences, the last one of now. actions: the ids of the latest actions, each
    done after the observation before the one that it led to; there is one less than observations, or fewer.
    """

    language: Language
    mission: str
    num_actions: int
    observations: Sequence[tuple[str, ...]]
    actions: Sequence[int]


Prompter = Callable[[Situation], tuple[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Wording:
    """GLAM's prompt with exchanged words: an entry of `wordings.yaml`, which explains the fields."""

    replace: Mapping[str, str] = field(default_factory=dict)
    actions: tuple[str, ...] = ()

    def __call__(self, situation: Situation) -> tuple[str, tuple[str, ...]]:
        """Return the prompt and the action prompts of a situation."""
        language = situation.language
        words = (*self.actions, *language.actions[len(self.actions) :])
        offered = words[: situation.num_actions]
        lines = [f"{language.possible}: {', '.join(offered)}", f"{language.goal_of}: {language.goal(situation.mission)}"]
        first = len(situation.observations) - 1 - len(situation.actions)  # the first observation whose action is given
        for number, sentences in enumerate(situation.observations):
            lines.append(f"Observation {number}: {''.join(f'{sentence}, ' for sentence in sentences)}".rstrip(" "))
            if first <= number < first + len(situation.actions):
                lines.append(f"Action {number}: {words[situation.actions[number - first]]}")
        prompt = " \n ".join((*lines, f"Action {len(situation.observations) - 1}:"))
        for word, other in self.replace.items():
            prompt = prompt.replace(word, other)
        return prompt, offered


def _wordings() -> dict[str, Wording]:
    entries: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "wordings.yaml").read_text())
    return {name: Wording(entry.get("replace", {}), tuple(entry.get("actions", ()))) for name, entry in entries.items()}


PROMPTERS: Final[Mapping[str, Wording]] = _wordings()
