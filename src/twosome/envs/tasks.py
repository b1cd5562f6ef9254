"""Which tasks an environment has."""

from collections.abc import Callable

import gymnasium


def task_names(make_env: Callable[[], gymnasium.Env]) -> tuple[str, ...]:
    """What the environment's option ``task`` can be, by its attribute ``tasks``; nothing where it has none."""
    env = make_env()
    try:
        return tuple(getattr(env.unwrapped, "tasks", ()))
    finally:
        env.close()
