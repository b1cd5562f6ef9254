"""A run whose numbers have stopped being numbers stops before they reach a weight."""

import math

from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from twosome.errors import RunError


def check_finite(step: int, remedy: str, **quantities: float) -> None:
    """Raise RunError where a loss or a gradient's norm is not finite.

    step: of the optimiser within the update, from 1. remedy: the options of which smaller values may help.
    """
    for name, value in quantities.items():
        if not math.isfinite(value):
            raise RunError(
                f"{name}={value} in optimiser step {step} of an update, which was not taken; look at grad_norm and the "
                f"losses in the last rows of metrics.csv: a smaller {remedy}, or model.dtype=float32, makes another run that "
                "may hold"
            )


def take_step(optimizer: Optimizer, max_grad_norm: float, step: int, remedy: str, **losses: float) -> float:
    """Take an optimiser step with clipped gradients, and clear them; return their norm before clipping.

    Raises RunError, before the step, where a loss or the norm is not finite. step, remedy: as in `check_finite`.
    """
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = float(clip_grad_norm_(learned, max_grad_norm))
    check_finite(step, remedy, **losses, grad_norm=norm)
    optimizer.step()
    optimizer.zero_grad()
    return norm
