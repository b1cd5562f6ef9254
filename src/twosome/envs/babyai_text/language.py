"""The two languages of the texts: English, and French as in GLAM's test."""

from abc import ABC, abstractmethod
from typing import ClassVar, Final


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
