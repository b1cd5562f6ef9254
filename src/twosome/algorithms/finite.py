"""A run whose numbers have stopped being numbers stops before they reach a weight."""

import math

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
