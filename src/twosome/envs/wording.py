"""Words that several environments share: the principles of prompt design, articles, and lists."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True)
class Principles:
    """The paper's four principles of prompt design, of which dropping one is an ablation, and explicit phrases."""

    cohesion: bool = True  # the prompt ends in a linking phrase that the action completes as a sentence
    articles: bool = True  # "the tomato", not "tomato"
    context: bool = True  # the goal, with the key objects, is repeated at every decision
    adaptation: bool = True  # an action's phrase says what it would do in this state; up to the environment's phrases
    explicit: bool = False  # adaptation goes further: a phrase names all that the action would act on, and with what

    @classmethod
    def named(cls) -> dict[str, Self]:
        """Return the prompters by name: default has the four principles, explicit adds its phrases, the others drop one."""
        principles = [each.name for each in fields(cls) if each.default]
        return {"default": cls(), "explicit": cls(explicit=True), **{f"no_{name}": cls(**{name: False}) for name in principles}}

    def worded(self, scene: Iterable[str], goal: str, phrases: Iterable[str]) -> tuple[str, tuple[str, ...]]:
        """Return the prompt and the action prompts. scene: sentences. goal, phrases: as in "serve the dish"."""
        prompt = " ".join(filter(None, (*scene, self._ending(goal))))
        if self.articles:
            return prompt, tuple(phrases)
        return without_articles(prompt), tuple(map(without_articles, phrases))

    def _ending(self, goal: str) -> str:
        if not self.context:
            return "You should first" if self.cohesion else ""
        return f"To {goal}, you should first" if self.cohesion else f"Your task is to {goal}."


def without_articles(text: str) -> str:
    """Return the text without the, a and an; sentences still start with a capital."""
    return re.sub(r"\b(the|an?) (\w)", lambda m: m[2].upper() if m[1][0].isupper() else m[2], text, flags=re.IGNORECASE)


def join(words: Iterable[str]) -> str:
    """Join words: tomato; tomato and lettuce; tomato, lettuce and onion."""
    *rest, last = words
    return f"{', '.join(rest)} and {last}" if rest else last
