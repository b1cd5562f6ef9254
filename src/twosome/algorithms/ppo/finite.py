"""A run whose numbers have stopped being numbers stops before they reach a weight."""

import math

from twosome.errors import RunError


def check_finite(step: int, **quantities: float) -> None:
    """Raises RunError where a loss or a gradient's norm is not finite. step: of the optimiser within the update, from 1."""
    for name, value in quantities.items():
        if not math.isfinite(value):
            raise RunError(
                f"{name}={value} in optimiser step {step} of an update, which was not taken; look at grad_norm, approx_kl and "
                "value_loss in the last rows of metrics.csv: a smaller ppo.learning_rate, ppo.value_learning_rate or "
                "ppo.max_grad_norm, or model.dtype=float32, makes another run that may hold"
            )
