"""PPO's settings, one documented field each; conf/preset holds sets of values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twosome.errors import UserError

if TYPE_CHECKING:
    from twosome.algorithms.algorithm import Progress

POSITIVE = ("num_envs", "num_steps", "update_epochs", "num_minibatches", "gradient_accumulation_steps",
            "value_update_epochs", "value_num_minibatches", "learning_rate", "value_learning_rate", "max_grad_norm",
            "adam_eps")  # fmt: skip
FRACTIONS = ("gamma", "gae_lambda")
LARGEST = 1e30  # float32 ends at 3e38, and Adam divides by small numbers
LEAST = 1e-7  # ratios are near 1, where float32's numbers are that far apart
RANGES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (POSITIVE, lambda value: value > 0, "a number above 0"),
    (FRACTIONS, lambda value: 0 <= value <= 1, "a number from 0 to 1"),
    (
        ("learning_rate", "value_learning_rate", "ent_coef", "vf_coef"),
        lambda value: abs(value) <= LARGEST,
        f"a number of at most {LARGEST:g}",
    ),
    (
        ("clip_coef",),
        lambda value: LEAST <= value <= 1,
        f"a number from {LEAST:g} to 1; below, every change of the policy is clipped and nothing is learned",
    ),
    (("adam_eps",), lambda value: value <= 1, "a number of at most 1; steps are divided by it"),
    (("vf_coef",), lambda value: value >= 0, "0 or more; below, the critic learns to be wrong"),
    (("anneal_steps",), lambda value: value >= 0, "0 (over the run) or more"),
    (
        ("target_kl",),
        lambda value: value is None or value >= LEAST,
        f"a number from {LEAST:g} on, or null for no limit; below, rounding errors end every update before its first step",
    ),
)
"""Names of settings, what has to hold for their values, and its words."""


@dataclass(frozen=True)
class PPOConfig:
    """CleanRL's vocabulary. A sample is one decision of one environment; a rollout has num_envs x num_steps of them."""

    num_envs: int
    """Environments that step side by side."""
    num_steps: int
    """Decisions per environment between two updates."""
    update_epochs: int
    """Passes of the policy over a rollout."""
    num_minibatches: int
    """Parts of a rollout whose advantages are normalised together."""
    gradient_accumulation_steps: int
    """Minibatches per optimiser step of the policy."""
    value_update_epochs: int
    """Passes of the critic over a rollout."""
    value_num_minibatches: int
    """Optimiser steps of the critic per pass."""
    learning_rate: float
    """Of AdamW on the policy's parameters, at the start."""
    value_learning_rate: float
    """Of Adam on the critic, at the start."""
    anneal_lr: bool = True
    """Whether both fall linearly to 0."""
    anneal_steps: int = 0
    """Environment steps over which they fall, where that is more than the run has; otherwise they fall over the run."""
    gamma: float = 0.99
    """Discount per primitive step; a decision of duration d discounts by gamma^d."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation, per decision."""
    clip_coef: float = 0.2
    """Clip range of the policy's ratio and, with clip_vloss, of the value."""
    clip_vloss: bool = True
    """Whether the value loss is clipped as well."""
    norm_adv: bool = True
    """Whether advantages are normalised within a minibatch."""
    ent_coef: float = 0.01
    """Weight of the entropy bonus, at the start."""
    anneal_ent_coef: bool = False
    """Whether it falls linearly to 0 over the run."""
    vf_coef: float = 0.5
    """Weight of the value loss; 0 leaves the critic as it is. (The critic has an optimiser of its own, so any other number only
    meets gradient clipping and eps.)"""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm, policy and critic each. (CleanRL scales both by their common norm; its one
    Adam is otherwise the same as two of equal learning rate.)"""
    target_kl: float | None = 0.02
    """Where the mean KL of an optimiser step's samples exceeds this, its gradient is dropped and the policy's update
    ends; null never stops."""
    adam_eps: float = 1e-5
    """Epsilon of both optimisers."""
    bootstrap_truncated: bool = True
    """Whether an episode cut by the step limit is credited the value of its last observation; false treats the cut as
    terminal, as the reference does."""

    def __post_init__(self) -> None:
        self._check_ranges()
        self._check_divisors()

    def _check_ranges(self) -> None:
        for names, holds, expected in RANGES:
            for name in names:
                if not holds(getattr(self, name)):
                    raise UserError(f"ppo.{name}={getattr(self, name)}: expected {expected}")

    def _check_divisors(self) -> None:
        for name in ("num_minibatches", "value_num_minibatches"):
            if self.batch_size % getattr(self, name):
                raise UserError(
                    f"ppo.{name}={getattr(self, name)}: expected a divisor of ppo.num_envs * ppo.num_steps = "
                    f"{self.num_envs} * {self.num_steps} = {self.batch_size}; change one of them"
                )
        if self.norm_adv and self.batch_size == self.num_minibatches:
            raise UserError(
                f"ppo.norm_adv=true with ppo.num_minibatches={self.num_minibatches} and ppo.num_envs * ppo.num_steps = "
                f"{self.num_envs} * {self.num_steps} = {self.batch_size}: a minibatch is one sample, whose normalised advantage "
                "is 0, and nothing is learned; add ppo.norm_adv=false, or take more samples or fewer minibatches"
            )
        if self.num_minibatches % self.gradient_accumulation_steps:
            raise UserError(
                f"ppo.gradient_accumulation_steps={self.gradient_accumulation_steps}: expected a divisor of "
                f"ppo.num_minibatches={self.num_minibatches}; change one of them"
            )

    def lr_factor(self, progress: "Progress") -> float:
        """What the learning rates are multiplied by in an update."""
        if not self.anneal_lr:
            return 1.0
        return 1 - progress.update / max(progress.num_updates, -(-self.anneal_steps // self.batch_size))

    def ent_coef_at(self, progress: "Progress") -> float:
        """The weight of the entropy bonus in an update."""
        return self.ent_coef * (progress.remaining if self.anneal_ent_coef else 1)

    @property
    def batch_size(self) -> int:
        """Samples in a rollout."""
        return self.num_envs * self.num_steps
