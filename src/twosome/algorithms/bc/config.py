"""Behaviour cloning's settings, one documented field each."""

from dataclasses import dataclass
from enum import Enum
from math import cos, pi

from twosome.algorithms.ppo.config import LARGEST
from twosome.errors import UserError


class Schedule(Enum):
    """How the learning rate falls over the run, after the warm-up."""

    cosine = "cosine"
    """Half a cosine, to 0."""
    linear = "linear"
    """Linearly, to 0."""
    constant = "constant"
    """Not at all."""


@dataclass(frozen=True)
class BCConfig:
    """CleanRL's vocabulary. A sample is one decision with the action that the demonstrator took."""

    demonstrator: str
    """Who acts: bot (the environment's own, as BabyAI's), optimal (the best play, by search), or the folder of a finished run,
    whose trained agent acts by its sampled policy."""
    num_envs: int
    """Environments that step side by side."""
    num_steps: int
    """Decisions per environment between two updates."""
    update_epochs: int
    """Passes over the samples of an update, which are then forgotten. GLAM: 1."""
    num_minibatches: int
    """Optimiser steps of a pass; a divisor of num_envs * num_steps. GLAM's minibatches have 64 samples."""
    learning_rate: float
    """Of AdamW, after the warm-up."""
    schedule: Schedule
    """How the learning rate falls over the run: cosine, linear or constant (`Schedule`)."""
    warmup: float
    """Share of the run's optimiser steps over which the learning rate rises linearly."""
    weight_decay: float
    """Of AdamW."""
    adam_eps: float
    """Epsilon of AdamW."""
    max_grad_norm: float
    """Gradients are scaled down to this norm."""

    def __post_init__(self) -> None:
        for name in ("num_envs", "num_steps", "update_epochs", "num_minibatches", "learning_rate", "adam_eps", "max_grad_norm"):
            if not 0 < getattr(self, name) <= LARGEST:
                raise UserError(f"algorithm.{name}={getattr(self, name)}: expected a number above 0 and of at most {LARGEST:g}")
        if not 0 <= self.weight_decay <= LARGEST:
            raise UserError(f"algorithm.weight_decay={self.weight_decay}: expected a number from 0 to {LARGEST:g}")
        if not 0 <= self.warmup < 1:
            raise UserError(f"algorithm.warmup={self.warmup}: expected a share from 0 to below 1")
        if self.batch_size % self.num_minibatches:
            raise UserError(
                f"algorithm.num_minibatches={self.num_minibatches}: expected a divisor of algorithm.num_envs * "
                f"algorithm.num_steps = {self.num_envs} * {self.num_steps} = {self.batch_size}; change one of them"
            )
        if not self.demonstrator.strip():
            raise UserError("algorithm.demonstrator=: expected bot, optimal, or the folder of a finished run")

    @property
    def batch_size(self) -> int:
        """Samples of an update."""
        return self.num_envs * self.num_steps

    @property
    def steps(self) -> int:
        """Optimiser steps of an update."""
        return self.update_epochs * self.num_minibatches

    def rate(self, step: int, num_steps: int) -> float:
        """Return the learning rate of an optimiser step, counted from 0, of num_steps of the run."""
        rising = round(self.warmup * num_steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        done = (step - rising) / (num_steps - rising)
        factors = {Schedule.cosine: (1 + cos(pi * done)) / 2, Schedule.linear: 1 - done, Schedule.constant: 1.0}
        return self.learning_rate * factors[self.schedule]
