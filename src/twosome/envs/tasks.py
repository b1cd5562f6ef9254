"""The names of an environment's tasks and actions."""

from collections.abc import Callable

import gymnasium


def task_names(make_env: Callable[[], gymnasium.Env]) -> tuple[str, ...]:
    """Return the values of the environment's option ``task``, from its attribute ``tasks``; empty if it has none."""
    return _attribute(make_env, "tasks")


def action_names(make_env: Callable[[], gymnasium.Env]) -> tuple[str, ...]:
    """Return the names of the environment's actions by id, from its attribute ``action_names``; empty if it has none."""
    return _attribute(make_env, "action_names")


def _attribute(make_env: Callable[[], gymnasium.Env], name: str) -> tuple[str, ...]:
    env = make_env()
    try:
        return tuple(getattr(env.unwrapped, name, None) or ())
    finally:
        env.close()
