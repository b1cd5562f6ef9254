"""What figures and tables say of runs that differ from the others: how their episodes count, and which are left out."""

from collections.abc import Callable

from twosome.report.data.collection import Grouped
from twosome.report.data.run import ENDED, Run
from twosome.report.output import style
from twosome.report.statistics.axes import AXES, Axis, known

CHANGED = "2026-11-22"
"""The day from which on runs are published with their episodes binned by their beginning."""


def counted(tasks: Grouped) -> list[str]:
    """Return the note where episodes count where they ended."""
    return _counted(_named(tasks, lambda run: run.binned == ENDED))


def of_figure(tasks: Grouped, axis: Axis) -> list[str]:
    """Return the notes of a figure that shows tasks and methods against an axis: on what it draws and on what it leaves out."""
    return [*_counted(_named(tasks, lambda run: run.binned == ENDED and known(run, axis))), *left_out(tasks, axis)]


def _counted(named: str) -> list[str]:
    return [f"{named}: episodes count where they ended (runs published before {CHANGED})."] if named else []


def left_out(tasks: Grouped, axis: Axis) -> list[str]:
    """Return a figure's note where runs are left out, since it is not known how far along its axis they were."""
    named = _named(tasks, lambda run: not known(run, axis))
    return [f"{named}: left out, since {axis.label} are not recorded."] if named else []


def unrecorded(tasks: Grouped) -> list[str]:
    """Return the notes of a table that counts along all axes."""
    labels: dict[str, list[str]] = {}
    for axis in AXES.values():
        if named := _named(tasks, lambda run, axis=axis: not known(run, axis)):  # type: ignore[misc]
            labels.setdefault(named, []).append(axis.label)
    return [f"{named}: {' and '.join(each)} up to a return are not recorded." for named, each in labels.items()]


def _named(tasks: Grouped, chosen: Callable[[Run], bool]) -> str:
    """Name the trained runs for which something holds, by task and method, and by seed where it does not hold for all.

    Tasks of which the same is to be said are named together.
    """
    by_methods: dict[str, list[str]] = {}
    for task, methods in tasks.items():
        trained = {method: runs for method in style.order(list(methods)) if (runs := [r for r in methods[method] if r.acted])}
        found = {method: some for method, runs in trained.items() if (some := [run for run in runs if chosen(run)])}
        whole = {method: some for method, some in found.items() if len(some) == len(trained[method])}
        names = [style.label(method) + ("" if method in whole else _seeds(some)) for method, some in found.items()]
        if names:
            said = "all trained methods" if len(whole) == len(trained) > 1 else "; ".join(names)
            by_methods.setdefault(said, []).append(style.title(task))
    return "; ".join(f"{', '.join(titles)} ({methods})" for methods, titles in by_methods.items())


def _seeds(runs: list[Run]) -> str:
    return f", seed {', '.join(str(run.seed) for run in runs)}"
