"""The reference of Python: the names of `import twosome`, and the interfaces that extensions implement, by mkdocstrings."""

import twosome

INTERFACES = {
    "twosome.language.engine.Engine": "computes scores and hidden states of decisions",
    "twosome.language.tuning.Tuning": "decides which weights of the language model learn",
    "twosome.agents.heads.ValueHead": "computes values from hidden states",
    "twosome.algorithms.reinforce.Episodic": "learns from whole episodes",
}
"""Interfaces that are not public names of the package, and what an implementation does."""


def page() -> str:
    """Return the page as Markdown with mkdocstrings' directives."""
    parts = ["# Python\n\nThe public names of `import twosome`. PyTorch is imported when one of them needs it.\n"]
    names = sorted(twosome.__all__, key=lambda name: (home(name).partition(".api.")[1] == "", name[0].isupper()))
    parts += [f"::: {home(name)}\n" for name in names]
    parts.append("## Interfaces\n\nWhat an extension implements, besides `Agent`, `LearningAgent` and `Algorithm`.\n")
    parts += [f"::: {name}\n" for name in INTERFACES]
    return "\n".join(parts)


def home(name: str) -> str:
    """Return the full name of a public name."""
    return next(f"twosome.{module}.{name}" for module, names in twosome._HOMES.items() if name in names)
