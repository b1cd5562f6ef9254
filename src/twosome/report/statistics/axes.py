"""What a learning curve is drawn against: environment steps, optimiser steps or seconds, by a run's own course of each."""

import math
from dataclasses import dataclass

import numpy as np

from twosome.report.data.run import Run


@dataclass(frozen=True)
class Axis:
    """An x-axis.

    name: of the value of --against, and of the columns that hold it. label: in a figure. suffix: of the names of its files. log:
    whether it is logarithmic, since methods differ by orders of magnitude.
    """

    name: str
    label: str
    suffix: str = ""
    log: bool = False


STEPS = Axis("env_steps", "environment steps")
OPTIMIZER_STEPS = Axis("optimizer_steps", "optimiser steps of the policy", "_optimizer_steps", log=True)
SECONDS = Axis("seconds", "seconds of training", "_seconds", log=True)
AXES = {axis.name: axis for axis in (STEPS, OPTIMIZER_STEPS, SECONDS)}


def known(run: Run, axis: Axis) -> bool:
    """Return whether it is known how far along an axis a run was at each environment step. Of what is only evaluated it is."""
    if axis is STEPS or not run.acted:
        return True
    return not (run.bins[axis.name].isna().any() or math.isnan(total(run, axis)) or (run.bins.empty and run.end))


def total(run: Run, axis: Axis) -> float:
    """Return what a whole run took; nan where that is not known."""
    return float(run.steps if axis is STEPS else getattr(run, axis.name))


def along(run: Run, axis: Axis, steps: np.ndarray) -> np.ndarray:
    """Return how far along an axis a run was at environment steps of its curve: linear between updates."""
    if axis is STEPS:
        return steps
    return np.interp(steps, [0, *run.bins.step], [0, *run.bins[axis.name]])
