"""Smoothed learning curves, and the window of their means: --window, or less where a task's runs are too short for it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from twosome.errors import UserError
from twosome.report.data.run import BIN, Run
from twosome.report.messages import warn
from twosome.report.output import style

Methods = Mapping[str, Sequence[Run]]
"""A task's runs, by method."""


def of_task(methods: Methods, asked: int) -> int:
    """Return the window of all runs of a task: at most half of the shortest curve.

    So a curve has two points or more, unless it is a single bin.
    """
    return min(asked, max(BIN, _shortest(methods, asked) // BIN // 2 * BIN))


def _shortest(methods: Methods, asked: int) -> int:
    steps = [run.end for runs in methods.values() for run in runs if run.end]
    return min(steps, default=2 * asked)


def of_tasks(tasks: Mapping[str, Methods], asked: int) -> dict[str, int]:
    """Return the window of each task."""
    return {task: of_task(methods, asked) for task, methods in tasks.items()}


def warn_of_shorter(tasks: Mapping[str, Methods], asked: int) -> None:
    """Warn where a task's window is not --window."""
    found = of_tasks(tasks, asked)
    for window in sorted(set(found.values()) - {asked}):
        names = [task for task in tasks if found[task] == window]
        named = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        shortest = f"the shortest curve has {min(_shortest(tasks[task], asked) for task in names):,}"
        warn(f"{named}: means look back over {window:,} environment steps instead of --window {asked}, since {shortest}")


def described(windows: Mapping[str, int]) -> str:
    """Name the windows, as in "the last 4,096 steps"; with their tasks where they differ."""
    values = sorted(set(windows.values()), reverse=True)
    if len(values) == 1:
        return f"{values[0]:,}"
    names = {value: ", ".join(style.title(task).lower() for task in windows if windows[task] == value) for value in values}
    return " or ".join(f"{value:,} ({names[value]})" for value in values)


def notes(windows: Mapping[str, int], asked: int) -> list[str]:
    """Return a table's note where a window is not --window."""
    if set(windows.values()) == {asked}:
        return []
    return [
        f"Window: a task whose shortest curve has fewer than twice the {asked:,} steps of --window is given half of it, "
        f"{BIN} steps at least."
    ]


def check_window(window: int) -> None:
    """Raise UserError unless the window is a number of whole bins."""
    if window % BIN:
        raise UserError(f"--window {window}: expected a multiple of {BIN} environment steps, as {-(-window // BIN) * BIN}")


def grid(end: int, window: int) -> np.ndarray:
    """Return the environment steps at which a curve is computed: four in each window, the last one at its end (Run.end).

    The first is one window after the start, if the curve is that long.
    """
    at = np.arange(end, 0, -max(BIN, window // 4 // BIN * BIN))[::-1]
    return at[at >= min(window, end)]


def smoothed(run: Run, window: int, column: str = "return_sum") -> tuple[np.ndarray, np.ndarray]:
    """Return steps and, at each, the mean over the episodes that began in the last window steps; nan where none did.

    Of runs that are binned by their end, over those that ended there. column: return_sum for discounted returns, successes for
    the success rate.
    """
    at, steps = grid(run.end, window), run.bins.step.to_numpy()
    last, first = np.searchsorted(steps, at, side="right"), np.searchsorted(steps, at - window, side="right")

    def within(name: str) -> np.ndarray:
        total = np.concatenate([[0.0], np.cumsum(run.bins[name].to_numpy(float))])
        return total[last] - total[first]

    episodes = within("episodes")
    return at, np.divide(within(column), episodes, out=np.full(len(at), math.nan), where=episodes > 0)
