"""An episode in numbers, for learning curves and evaluation."""

from dataclasses import dataclass


@dataclass
class Episode:
    """A row of episodes.csv; returns are sums over the episode so far.

    env_step: the run's environment steps (decisions) when it ended. env: the environment's index.
    discounted_return: discounted per primitive step, what the paper's curves show. raw_return: the plain sum of rewards.
    decisions, primitive_steps: its length. terminated: ended by itself rather than by the step limit. success: reached
    the task's goal.
    """

    env_step: int = 0
    env: int = 0
    discounted_return: float = 0.0
    raw_return: float = 0.0
    decisions: int = 0
    primitive_steps: int = 0
    terminated: bool = False
    success: bool = False

    def add(self, reward: float, primitive_steps: int, gamma: float) -> None:
        """Account for one decision; primitive_steps counts from the episode's start to its end."""
        self.discounted_return += gamma**self.primitive_steps * reward
        self.raw_return += reward
        self.decisions += 1
        self.primitive_steps = primitive_steps
