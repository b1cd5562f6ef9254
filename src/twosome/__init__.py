"""Train language models to act in environments by reinforcement learning, and compare them with baselines.

The names in ``__all__`` are public; `twosome.api` documents the functions. PyTorch is imported when one of them needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twosome.agents.agent import Agent, LearningAgent
    from twosome.algorithms.algorithm import Algorithm
    from twosome.api import Run, TrainedAgent, evaluate, load_agent, make_env, run
    from twosome.decision import Decision
    from twosome.envs import check_env
    from twosome.errors import RunError, UserError

__all__ = [
    "Agent",
    "Algorithm",
    "Decision",
    "LearningAgent",
    "Run",
    "RunError",
    "TrainedAgent",
    "UserError",
    "check_env",
    "evaluate",
    "load_agent",
    "make_env",
    "run",
]

_HOMES = {
    "algorithms.algorithm": ("Algorithm",),
    "api": ("Run", "TrainedAgent", "evaluate", "load_agent", "make_env", "run"),
    "decision": ("Decision",),
    "envs": ("check_env",),
    "errors": ("RunError", "UserError"),
    "agents.agent": ("Agent", "LearningAgent"),
}
"""The modules of the public names."""

if not TYPE_CHECKING:  # otherwise type checkers would accept any attribute

    def __getattr__(name: str) -> Any:
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"twosome.{home}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
