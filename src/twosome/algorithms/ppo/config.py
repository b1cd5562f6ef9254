"""PPO's settings, one documented field each; conf/preset holds sets of values."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from twosome.errors import UserError

if TYPE_CHECKING:
    from twosome.algorithms.algorithm import Progress

POSITIVE = ("num_envs", "num_steps", "update_epochs", "num_minibatches", "gradient_accumulation_steps",
            "value_update_epochs", "value_num_minibatches", "learning_rate", "value_learning_rate", "max_grad_norm",
            "adam_eps")  # fmt: skip
FRACTIONS = ("gamma", "gae_lambda")
LARGEST = 1e30  # float32 ends at 3e38, and Adam divides by small numbers
KL_FACTOR = 1.5  # what desired_kl changes the learning rate by
LEAST = 1e-7  # ratios are near 1, where float32's numbers are that far apart


class Minibatch(Enum):
    """What a minibatch of the policy's update is made of."""

    samples = "samples"
    """Shuffled samples. Advantages are normalised within a minibatch."""
    decisions = "decisions"
    """All samples of some of the rollout's distinct decisions. A pass costs what one batch costs, whatever num_minibatches is.
    The minibatches have about the same number of tokens. Advantages are normalised over the rollout."""


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
    (("count_exponent",), lambda value: 0 <= value <= 1, "a number from 0 (samples count equally) to 1 (decisions do)"),
    (("clip_adv",), lambda value: value is None or 0 < value <= LARGEST, "a number above 0, or null for no limit"),
    (("base_kl_coef",), lambda value: 0 <= value <= LARGEST, f"a number from 0 (no such term) to {LARGEST:g}"),
    (("value_warmup_updates",), lambda value: value >= 0, "0 or more"),
    (("anneal_steps",), lambda value: value >= 0, "0 (over the run) or more"),
    (
        ("desired_kl",),
        lambda value: value is None or value >= LEAST,
        f"a number from {LEAST:g} on, or null for a rate that does not follow the updates; below, the rate falls to 0",
    ),
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
    """Parts of a rollout in a pass of the policy."""
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
    desired_kl: float | None = None
    """The policy's learning rate is divided by 1.5 after an update whose steps have a mean KL above twice this, and multiplied by
    1.5 after one whose mean is below half of it; it never exceeds what it would be without (Rudin et al. 2022, appendix A.1).
    null: the rate does not depend on the updates."""
    gamma: float = 0.99
    """Discount per primitive step; a decision of duration d discounts by gamma^d."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation, per decision."""
    clip_coef: float = 0.2
    """Clip range of the policy's ratio and, with clip_vloss, of the value."""
    clip_vloss: bool = True
    """Whether the value loss is clipped as well."""
    pairwise_vloss: bool = False
    """Whether the value loss is the mean over all pairs of a value and a return of an optimiser step, as in GLAM's code, where
    shapes (n, 1) and (n,) meet. The values then learn little more than the mean return. false: each value and its own return."""
    norm_adv: bool = True
    """Whether advantages are normalised: within a minibatch of samples, over the rollout for minibatches of decisions."""
    minibatch: Minibatch = Minibatch.samples
    """What a minibatch of the policy's update is made of: samples or decisions (`Minibatch`)."""
    count_exponent: float = 0.0
    """Weight of a sample in the policy's loss: n**-count_exponent, where n of the rollout's samples share its decision. The
    weights are scaled to a mean of 1 over the rollout. With 0 samples weigh the same, with 1 distinct decisions do."""
    clip_adv: float | None = None
    """Normalised advantages are clipped to within this many standard deviations; null clips none. (In minibatches of 4 samples
    none is above 1.5.)"""
    clip_coef_high: float | None = None
    """Upper clip range of the policy's ratio (DAPO, Yu et al. 2025); null takes clip_coef."""
    base_kl_coef: float = 0.0
    """Weight of KL(policy || policy of the language model before training), at the start; 0 has no such term."""
    anneal_base_kl_coef: bool = True
    """Whether it falls linearly to 0 over the run."""
    value_warmup_updates: int = 0
    """First updates in which the critic learns alone."""
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
    """Where the mean KL of an optimiser step's samples exceeds this, the step is not taken. With minibatches of samples the
    policy's update ends there. Minibatches of decisions share no decision, so the next step is tried. null: no limit."""
    adam_eps: float = 1e-5
    """Epsilon of both optimisers."""
    bootstrap_truncated: bool = True
    """Whether an episode cut by the step limit is credited the value of its last observation; false treats the cut as
    terminal, as the reference does."""

    def __post_init__(self) -> None:
        self._check_ranges()
        high = self.clip_coef_high
        if high is not None and not self.clip_coef <= high <= LARGEST:
            raise UserError(
                f"algorithm.clip_coef_high={high}: expected null or a number from algorithm.clip_coef={self.clip_coef} on"
            )
        self._check_divisors()

    def _check_ranges(self) -> None:
        for names, holds, expected in RANGES:
            for name in names:
                if not holds(getattr(self, name)):
                    raise UserError(f"algorithm.{name}={getattr(self, name)}: expected {expected}")

    def _check_divisors(self) -> None:
        equal = ("num_minibatches",) if self.minibatch is Minibatch.samples else ()
        for name in (*equal, "value_num_minibatches"):
            if self.batch_size % getattr(self, name):
                raise UserError(
                    f"algorithm.{name}={getattr(self, name)}: expected a divisor of algorithm.num_envs * algorithm.num_steps = "
                    f"{self.num_envs} * {self.num_steps} = {self.batch_size}; change one of them"
                )
        if self.norm_adv and self.batch_size == self.num_minibatches and self.minibatch is Minibatch.samples:
            raise UserError(
                f"algorithm.norm_adv=true with algorithm.num_minibatches={self.num_minibatches} and algorithm.num_envs * "
                f"algorithm.num_steps = "
                f"{self.num_envs} * {self.num_steps} = {self.batch_size}: a minibatch is one sample, whose normalised advantage "
                "is 0, and nothing is learned; add algorithm.norm_adv=false, or take more samples or fewer minibatches"
            )
        if self.num_minibatches % self.gradient_accumulation_steps:
            raise UserError(
                f"algorithm.gradient_accumulation_steps={self.gradient_accumulation_steps}: expected a divisor of "
                f"algorithm.num_minibatches={self.num_minibatches}; change one of them"
            )

    def lr_factor(self, progress: "Progress") -> float:
        """What the learning rates are multiplied by in an update."""
        if not self.anneal_lr:
            return 1.0
        return 1 - progress.update / max(progress.num_updates, -(-self.anneal_steps // self.batch_size))

    def following(self, scale: float, approx_kl: float) -> float:
        """What the policy's learning rate is multiplied by in the next update, because of desired_kl.

        scale: the same of this update. approx_kl: of this update's steps, NaN if it had none.
        """
        if self.desired_kl is None:
            return 1.0
        if approx_kl > 2 * self.desired_kl:
            return scale / KL_FACTOR
        return min(scale * KL_FACTOR, 1.0) if approx_kl < self.desired_kl / 2 else scale

    def ent_coef_at(self, progress: "Progress") -> float:
        """The weight of the entropy bonus in an update."""
        return self.ent_coef * (progress.remaining if self.anneal_ent_coef else 1)

    def base_kl_coef_at(self, progress: "Progress") -> float:
        """The weight of the KL to the language model before training in an update."""
        return self.base_kl_coef * (progress.remaining if self.anneal_base_kl_coef else 1)

    @property
    def batch_size(self) -> int:
        """Samples in a rollout."""
        return self.num_envs * self.num_steps
