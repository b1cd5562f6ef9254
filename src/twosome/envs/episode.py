"""The statistics of an episode, for learning curves and evaluation."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Episode:
    """A row of episodes.csv. Returns are sums over the episode so far.

    env_step: the run's environment steps (decisions) when the episode ended. env: the environment's index.
    discounted_return: discounted per primitive step, as in the paper's curves. raw_return: the sum of rewards.
    decisions, primitive_steps: the length. terminated: whether it ended by itself and not by the step limit. success: whether the
    task's goal was reached. task: its name, if the environment mixes tasks.
    """

    env_step: int = 0
    env: int = 0
    discounted_return: float = 0.0
    raw_return: float = 0.0
    decisions: int = 0
    primitive_steps: int = 0
    terminated: bool = False
    success: bool = False
    task: str = ""

    def add(self, reward: float, primitive_steps: int, gamma: float) -> None:
        """Add one decision. reward: of the decision. primitive_steps: from the episode's start to the decision's end."""
        self.discounted_return += gamma**self.primitive_steps * reward
        self.raw_return += reward
        self.decisions += 1
        self.primitive_steps = primitive_steps

    def row(self) -> dict[str, Any]:
        """Return the columns; without task if the environment mixes none."""
        columns = asdict(self)
        return columns if self.task else {name: value for name, value in columns.items() if name != "task"}
