"""Learning curves: the numbers that are drawn, and a figure with a panel per task."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from twosome.report.data.run import Run
from twosome.report.output import style
from twosome.report.paper import RETURN, SUCCESS, Paper
from twosome.report.statistics import axes as x_axes
from twosome.report.statistics import measures, smoothing
from twosome.report.statistics.axes import Axis
from twosome.report.statistics.estimates import Bootstrap, Estimate, over_runs

NOTHING = "nothing to draw yet"
LINE = 46  # characters of a note on a figure
COLUMNS = {RETURN: "return_sum", SUCCESS: "successes"}
"""Of the bins, by what a curve shows."""


@dataclass(frozen=True)
class Shown:
    """What the figures of the same runs share.

    axis: what is drawn against. optima, windows: by task. stat: --stat. methods: of all figures, for the colours. paper: whose
    points to show. notes: sentences below the panels.
    """

    axis: Axis
    optima: Mapping[str, float]
    windows: Mapping[str, int]
    stat: str
    methods: Sequence[str]
    paper: Paper | None
    notes: Sequence[str] = ()


def plotted(
    task: str, methods: Mapping[str, Sequence[Run]], window: int, axis: Axis, stat: str, bootstrap: Bootstrap, paper: Paper
) -> pd.DataFrame:
    """Compute the numbers that are drawn of a task: a row per method and point; one at 0 for what was only evaluated.

    paper: says what is shown (column measure). Runs that do not say how far along the axis they were are left out. Where a
    method has no curve, its row has no value.
    """
    tables = []
    drawn = {method: [run for run in runs if x_axes.known(run, axis)] for method, runs in methods.items()}
    if not any(run.acted for runs in drawn.values() for run in runs) and axis is not x_axes.STEPS:
        return pd.DataFrame()
    measure = paper.shows(next(iter(methods.values()))[0].config["env"]["id"])
    for method in style.order([method for method, runs in drawn.items() if runs]):
        runs = drawn[method]
        if trained := any(run.acted for run in runs):
            at, found = _curve(runs, window, axis, stat, bootstrap, COLUMNS[measure])
        else:
            at, found = np.zeros(1), measures.level(runs, window, stat, bootstrap, success=measure == SUCCESS)
        at = at.astype(int) if axis is x_axes.STEPS else at
        table = pd.DataFrame({axis.name: at, "center": found.center, "low": found.low, "high": found.high})
        table.insert(0, "task", task)
        table.insert(1, "method", method)
        tables.append(table.assign(seeds=len(runs), kind="training" if trained else "evaluation", measure=measure))
    return pd.concat(tables)


def _curve(
    runs: Sequence[Run], window: int, axis: Axis, stat: str, bootstrap: Bootstrap, column: str
) -> tuple[np.ndarray, Estimate]:
    """Return places on the axis and the statistic over runs, up to where the first of them ends; nan where a run has no value."""
    steps = smoothing.grid(min(run.end for run in runs), window)
    if not len(steps):
        nothing = np.full(1, math.nan)
        return np.array([min(x_axes.total(run, axis) for run in runs)]), Estimate(nothing, nothing, nothing)
    curves = [_along(run, window, axis, column) for run in runs]
    at = steps
    if axis is not x_axes.STEPS:  # the runs' mean pace, as far as all of them have a curve
        first, last = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
        at = np.unique(np.clip(np.mean([x_axes.along(run, axis, steps) for run in runs], axis=0), first, last))
    values = [np.interp(at, x, found, left=math.nan) for x, found in curves]
    return at, over_runs(np.array(values), stat, bootstrap)


def _along(run: Run, window: int, axis: Axis, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a run's smoothed curve over an axis; of several values at one place the last one."""
    steps, values = smoothing.smoothed(run, window, column)
    x = x_axes.along(run, axis, steps)
    last = np.diff(x, append=math.inf) > 0
    return x[last], values[last]


def draw(rows: pd.DataFrame, shown: Shown) -> Figure:
    """Draw plotted rows."""
    x, paper = shown.axis.name, shown.paper
    limits = {str(task): _limits(of_task[x], shown.axis) for task, of_task in rows.groupby("task", sort=False)}
    drawn = set(rows[rows.center.notna()].method) - {"optimal"}
    methods = [method for method in style.order(shown.methods) if method in drawn]
    colors = {method: style.color(method, shown.methods) for method in methods}
    measure = dict(zip(rows.task, rows.measure, strict=True))
    points = {
        (task, method): _cut(paper.points(task, method, measure[task]) if paper else [], end)
        for task, (_, end) in limits.items()
        for method in methods
    }
    papers = dict.fromkeys(paper.model_of(measure[task]) for (task, _), own in points.items() if paper and own)
    handles = [*(_handle(method, colors[method]) for method in methods), *map(_paper_handle, papers)]
    columns, notes = style.legend_columns(handles), [line for note in shown.notes for line in textwrap.wrap(note, LINE)]
    figure, axes = style.panels(len(limits), -(-len(handles) // columns) + 2 + len(papers) + len(notes))
    for each, (task, (start, end)) in zip(axes, limits.items(), strict=True):
        if shown.axis.log:
            style.logarithmic(each, start, end)
        each.set_xlim(start, end)
        _draw_methods(each, _stretches(rows[rows.task == task], x, start, end), x, colors)
        for method in methods:
            _draw_paper(each, points[task, method], colors[method])
        each.set_title(style.title(task), fontsize=8.5, color=style.INK, loc="left", fontweight="bold")
        each.set_ylabel(measure[task], fontsize=8, color=style.INK)
        each.set_xlabel("")
        if rows[rows.task == task].center.isna().all():
            each.text(0.5, 0.4, NOTHING, transform=each.transAxes, fontsize=7.5, color=style.INK, ha="center")
        if task in shown.optima and measure[task] == RETURN:
            _draw_optimum(each, shown.optima[task])
    _explain(axes, [shown.windows[task] for task in limits], shown, notes)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=style.LEGEND_SIZE, frameon=False,
                  labelcolor=style.INK, handlelength=2.2, columnspacing=1.2, labelspacing=0.35)  # fmt: skip
    return figure


def _limits(x: pd.Series, axis: Axis) -> tuple[float, float]:
    """Return where a panel begins and ends. A logarithmic one begins with the first curve."""
    end = float(x.max()) or 1.0
    return (min(float(x[x > 0].min()), end / 2) if axis.log and (x > 0).any() else end / 2 if axis.log else 0.0), end


def _explain(axes: Sequence[Axes], windows: Sequence[int], shown: Shown, notes: Sequence[str]) -> None:
    """Say below the panels what lines and bands are. windows: of the panels, shown above each panel where they differ."""
    band = "IQM, 95 % interval" if shown.stat == "iqm" else "mean, population std"
    last = f"{windows[0]:,}"
    if len(set(windows)) > 1:
        last = "N"
        for each, window in zip(axes, windows, strict=True):
            each.set_title(f"N = {window:,}", fontsize=7.5, color=style.INK, loc="right")
    unit = "" if shown.axis is x_axes.STEPS else "environment steps; "
    label = f"{shown.axis.label}\nmean of the episodes that began in the last {last}\n{unit}over seeds: {band}"
    axes[-1].set_xlabel("\n".join([label, *notes]), fontsize=7.5, color=style.INK)


def _handle(method: str, color: str) -> Line2D:
    dashes = (0, style.DASHES[method]) if method in style.DASHES else "-"
    return Line2D([], [], color=color, ls=dashes, lw=1.6, label=style.label(method))


def _paper_handle(model: str) -> Line2D:
    label = f"paper, {model},\nread off the figure"
    return Line2D([], [], color=style.INK, lw=1.1, marker="o", ms=3.5, mfc="white", ls="", label=label)


def _stretches(rows: pd.DataFrame, x: str, start: float, end: float) -> pd.DataFrame:
    """Return the points of one panel that have a value, numbered by the stretches of a curve between which there is none.

    What was only evaluated has a level line: two points.
    """
    numbered = rows.assign(stretch=rows.center.isna().cumsum())
    level = numbered[numbered.kind == "evaluation"]
    points = pd.concat([numbered[numbered.kind != "evaluation"], *(level.assign(**{x: place}) for place in (start, end))])
    return points[points.center.notna() & (points.method != "optimal")]


def _draw_methods(axes: Axes, points: pd.DataFrame, x: str, colors: Mapping[str, str]) -> None:
    """Draw a line and its band for each method and stretch, and a dot where a stretch is one point."""
    if points.empty:
        return
    dashes = {method: style.DASHES.get(method, "") for method in colors}
    sns.lineplot(points, x=x, y="center", hue="method", style="method", units="stretch", estimator=None, palette=colors,
                 dashes=dashes, lw=1.6, solid_capstyle="round", zorder=3, legend=False, ax=axes)  # fmt: skip
    for (method, _), stretch in points.groupby(["method", "stretch"], sort=False):
        color = colors[str(method)]
        axes.fill_between(stretch[x], stretch.low, stretch.high, color=color, alpha=0.18, lw=0, zorder=2)
        if len(stretch) == 1:
            axes.plot(stretch[x], stretch.center, color=color, ls="", marker=".", ms=5, zorder=3, clip_on=False)


def _cut(points: Sequence[tuple[int, int, float]], end: float) -> list[tuple[list[int], float]]:
    """Return the paper's points as far as the panel goes: steps (one, or the two between which the value stays) and value."""
    return [(sorted({first, min(last, int(end))}), value) for first, last, value in points if first <= end]


def _draw_paper(axes: Axes, points: Sequence[tuple[list[int], float]], color: str) -> None:
    for at, value in points:
        axes.plot(at, [value] * len(at), color=color, lw=1.1, marker="o", ms=3.5, mfc="white", zorder=4, clip_on=False)


def _draw_optimum(axes: Axes, optimum: float) -> None:
    axes.axhline(optimum, color=style.COLORS["optimal"], lw=0.9, ls=(0, (4, 2.5)), zorder=1)
    axes.annotate(f"optimum {optimum:.3f}", (0.01, optimum), (0, 2), xycoords=("axes fraction", "data"),
                  textcoords="offset points", color=style.INK, fontsize=7, ha="left", va="bottom")  # fmt: skip
    low, high = axes.get_ylim()
    axes.set_ylim(low, max(high, optimum + 0.1 * (optimum - low)))  # room for the label
