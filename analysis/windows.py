"""How far the means of curves look back: --window, or less where a task's runs are too short for it."""

from collections.abc import Mapping, Sequence

import style
from commands import warn
from runs import BIN, Run

Methods = Mapping[str, Sequence[Run]]
"""A task's runs, by method."""


def of_task(methods: Methods, asked: int) -> int:
    """The window of all runs of a task, which are compared with each other: at most half of the shortest that was trained.

    So a curve has two points or more, unless its run lasted for a single bin.
    """
    return min(asked, max(BIN, -(-_shortest(methods, asked) // BIN) // 2 * BIN))


def _shortest(methods: Methods, asked: int) -> int:
    steps = [run.steps for runs in methods.values() for run in runs if run.steps]
    return min(steps, default=2 * asked)


def of_tasks(tasks: Mapping[str, Methods], asked: int) -> dict[str, int]:
    """The window of each task."""
    return {task: of_task(methods, asked) for task, methods in tasks.items()}


def warn_of_shorter(tasks: Mapping[str, Methods], asked: int) -> None:
    """Say where a window is not the one that was asked for."""
    found = of_tasks(tasks, asked)
    for window in sorted(set(found.values()) - {asked}):
        names = [task for task in tasks if found[task] == window]
        named = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        shortest = f"the shortest run has {min(_shortest(tasks[task], asked) for task in names):,}"
        warn(f"{named}: means look back over {window:,} environment steps instead of --window {asked}, since {shortest}")


def told(windows: Mapping[str, int]) -> str:
    """As in "the last 4,096 steps"; which task has which, where they differ."""
    values = sorted(set(windows.values()), reverse=True)
    if len(values) == 1:
        return f"{values[0]:,}"
    names = {value: ", ".join(style.title(task).lower() for task in windows if windows[task] == value) for value in values}
    return " or ".join(f"{value:,} ({names[value]})" for value in values)


def notes(windows: Mapping[str, int], asked: int) -> list[str]:
    """A table's note, where a window is not the one that was asked for."""
    if set(windows.values()) == {asked}:
        return []
    return [
        f"Window: a task whose shortest run has fewer than twice the {asked:,} steps of --window is given half of that run, "
        f"{BIN} steps at least."
    ]
