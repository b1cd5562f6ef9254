"""Q-learning's settings, one documented field each."""

from dataclasses import dataclass

from twosome.algorithms.ppo.config import LARGEST
from twosome.errors import UserError


@dataclass(frozen=True)
class QLearningConfig:
    """CleanRL's vocabulary. A transition is one decision of one environment with what followed."""

    num_envs: int
    """Environments that step side by side."""
    num_steps: int
    """Decisions per environment between two updates. A checkpoint is written after an update, with the replay buffer."""
    transitions_per_step: int
    """New transitions for each optimiser step; a divisor of num_envs * num_steps. GLAM: 128."""
    minibatch_size: int
    """Transitions of an optimiser step, drawn uniformly from the replay buffer."""
    learning_rate: float
    """Of Adam."""
    adam_eps: float
    """Epsilon of Adam."""
    max_grad_norm: float
    """Gradients are scaled down to this norm."""
    gamma: float
    """Discount per primitive step; GLAM's DRRN has 0.9."""
    replay_mb: int
    """Size of the replay buffer in memory, in MB of 10^6 bytes; the oldest transitions make room for new ones. A checkpoint has
    half of it or less."""

    def __post_init__(self) -> None:
        for name in ("num_envs", "num_steps", "transitions_per_step", "minibatch_size", "learning_rate", "adam_eps",
                     "max_grad_norm", "replay_mb"):  # fmt: skip
            if not 0 < getattr(self, name) <= LARGEST:
                raise UserError(f"algorithm.{name}={getattr(self, name)}: expected a number above 0 and of at most {LARGEST:g}")
        if not 0 <= self.gamma <= 1:
            raise UserError(f"algorithm.gamma={self.gamma}: expected a number from 0 to 1")
        if self.batch_size % self.transitions_per_step:
            raise UserError(
                f"algorithm.transitions_per_step={self.transitions_per_step}: expected a divisor of algorithm.num_envs * "
                f"algorithm.num_steps = {self.num_envs} * {self.num_steps} = {self.batch_size}; change one of them"
            )

    @property
    def batch_size(self) -> int:
        """New transitions of an update."""
        return self.num_envs * self.num_steps
