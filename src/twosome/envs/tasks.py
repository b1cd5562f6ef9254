"""The tasks of an environment."""

from collections.abc import Callable

import gymnasium


def task_names(make_env: Callable[[], gymnasium.Env]) -> tuple[str, ...]:
    """Return the values of the environment's option ``task``, from its attribute ``tasks``; empty if it has none."""
    env = make_env()
    try:
        return tuple(getattr(env.unwrapped, "tasks", ()))
    finally:
        env.close()
