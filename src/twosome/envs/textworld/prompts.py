"""Prompters: pure functions from what the agent knows to the words of a decision.

A prompter takes a `Situation` and returns the observation prompt and one action prompt per command. `PROMPTERS` holds the named
ones; the environment's option ``prompt`` also takes any such function, or its import path ``package.module:function``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from twosome.envs.options import Principles
from twosome.envs.textworld.games import with_articles


class Situation(NamedTuple):
    """The information of a decision.

    description: of the room. inventory: as in "You are carrying a coin." history: the last commands and the game's answers.
    goal: as in "take the coin". commands: the admissible ones.
    """

    description: str
    inventory: str
    history: Sequence[tuple[str, str]]
    goal: str
    commands: Sequence[str]


Prompter = Callable[[Situation], tuple[str, tuple[str, ...]]]


class PrinciplePrompter(Principles):
    """Words for a game that follow the principles of prompt design; commands say what they do in every state."""

    def __call__(self, situation: Situation) -> tuple[str, tuple[str, ...]]:
        """Return the prompt and the action prompts of a situation."""
        history = [f'After "{with_articles(command)}": {answer}' for command, answer in situation.history]
        scene = (situation.description, situation.inventory, *history)
        return self.worded(scene, situation.goal, map(with_articles, situation.commands))


PROMPTERS: Final[Mapping[str, Prompter]] = {
    name: prompter for name, prompter in PrinciplePrompter.named().items() if name not in ("explicit", "no_adaptation")
}


def one_line(text: str) -> str:
    """Return TextWorld's text on one line, with a room's heading as a sentence: "Kitchen. You find yourself in a kitchen."."""
    return " ".join(re.sub(r"-= (.*?) =-", r"\1.", text).split())


def first_answer(feedback: str) -> str:
    """Return a game's answer to a command: the first paragraph, of which a room that is entered gives its name only.

    TextWorld's feedback goes on with the room's description, the score and a status line.
    """
    first = one_line(re.split(r"\n\s*\n|=-\n", feedback.strip())[0].replace("-= ", ""))
    return first if first.endswith((".", "!", "?")) else f"{first}."
