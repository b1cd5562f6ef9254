"""Following episodes, for learning curves and evaluation."""

from dataclasses import asdict, dataclass
from typing import Any

from twosome.envs.vector import Step


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


class EpisodeTracker:
    """Adds up the running episode of each environment."""

    def __init__(self, num_envs: int, gamma: float) -> None:
        self.gamma = gamma
        self.running = [Episode(env=env) for env in range(num_envs)]

    def update(self, step: Step, env_step: int) -> list[Episode]:
        """Account for one decision of every environment; returns the episodes that ended with it."""
        ended = []
        for env, episode in enumerate(self.running):
            episode.add(float(step.rewards[env]), int(step.primitive_steps[env]), self.gamma)
            if step.terminated[env] or step.truncated[env]:
                episode.env_step = env_step
                episode.terminated, episode.success = bool(step.terminated[env]), bool(step.success[env])
                ended.append(episode)
                self.running[env] = Episode(env=env)
        return ended

    def state(self) -> list[dict[str, Any]]:
        """The running episodes as plain values."""
        return [asdict(episode) for episode in self.running]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Go on with the episodes of a checkpoint."""
        self.running = [Episode(**episode) for episode in state]
