"""The reference of environments: the specification of each one that the suite registers, which is its class' docstring."""

import re
from inspect import cleandoc

import gymnasium
from gymnasium.envs.registration import load_env_creator

import twosome.envs  # noqa: F401 (registers them)

NAMESPACE = "twosome"
INTRODUCTION = """\
# Environments

The specification of every registered environment, as its class declares it.
[The contract](../contributing.md#the-contract-of-an-environment) says what they have in common.
"""


def registered() -> dict[str, type]:
    """Return the suite's environments: gymnasium's id and the class."""
    specifications = [each for each in gymnasium.registry.values() if each.namespace == NAMESPACE]
    made = {each.id: load_env_creator(str(each.entry_point)) for each in specifications}
    return {name: creator for name, creator in made.items() if isinstance(creator, type)}


def page() -> str:
    """Return the reference as Markdown. Raises ValueError for an environment without a specification."""
    parts = [INTRODUCTION]
    for name, cls in registered().items():
        if not cls.__doc__:
            raise ValueError(f"{name}: expected a docstring with its specification")
        parts.append(f"## {name}\n\n`{cls.__module__}.{cls.__qualname__}`\n\n{_below(cleandoc(cls.__doc__))}\n")
    return "\n".join(parts)


def _below(text: str) -> str:
    """Return a docstring with its headings one level lower."""
    return re.sub(r"^(#+ )", r"#\1", text, flags=re.MULTILINE)
