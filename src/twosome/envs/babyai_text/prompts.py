"""Prompters: pure functions from what the agent has seen and done to the words of a decision.

A prompter takes a `Situation` and returns the observation prompt and one action prompt per action. `PROMPTERS` holds those of
`wordings.yaml`; the environment's option ``prompt`` also takes any such function, or its import path ``package.module:function``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from twosome.envs.babyai_text.language import ENGLISH, Language
from twosome.envs.wording import find_prompter
from twosome.errors import UserError


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


def prompter_of(prompt: str | Prompter, task: str, language: Language) -> Prompter:
    """Return the prompter that the option ``prompt`` stands for; raise UserError if there is none for this task."""
    prompter = find_prompter(prompt, PROMPTERS, "(situation)")
    if isinstance(prompter, Wording) and prompter != Wording() and language is not ENGLISH:
        raise UserError(f"prompt={prompt}: expected default with task={task}, which is not in English; or use task=go_to_local")
    return prompter
