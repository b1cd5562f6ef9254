"""Learning curves: the numbers that are drawn, and a figure with a panel per task."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from twosome.report import style
from twosome.report.measures import level
from twosome.report.paper import RETURN, SUCCESS, Paper
from twosome.report.runs import Methods, Run
from twosome.report.statistics import STEPS, Axis, Estimate, Estimator, along, grid, smoothed

NOTHING = "nothing to draw yet"
COLUMNS = {RETURN: "return_sum", SUCCESS: "successes"}  # columns of the bins, by what a curve shows
PANEL = 2.15  # inches: height of a panel


def plotted(task: str, methods: Methods, window: int, axis: Axis, estimator: Estimator, paper: Paper) -> pd.DataFrame:
    """Compute the numbers that are drawn of a task: a row per method and point; one at 0 for what was only evaluated.

    paper: says what is shown (column measure). Where a method has no curve, its row has no value.
    """
    if not any(run.acted for runs in methods.values() for run in runs) and axis is not STEPS:
        return pd.DataFrame()
    measure, tables = paper.shows(next(iter(methods.values()))[0].config["env"]["id"]), []
    for method in style.order(list(methods)):
        runs = methods[method]
        if trained := any(run.acted for run in runs):
            at, found = _curve(runs, window, axis, estimator, COLUMNS[measure])
        else:
            at, found = np.zeros(1), level(runs, window, estimator, success=measure == SUCCESS)
        at = at.astype(int) if axis is STEPS else at
        ends = {"center": found.center, "low": found.low, "high": found.high}
        row = {"task": task, "method": method, axis.name: at, **ends, "seeds": len(runs)}
        tables.append(pd.DataFrame(row | {"kind": "training" if trained else "evaluation", "measure": measure}))
    return pd.concat(tables)


def _curve(runs: Sequence[Run], window: int, axis: Axis, estimator: Estimator, column: str) -> tuple[np.ndarray, Estimate]:
    """Return places on the axis and the statistic over runs, up to where the first of them ends; nan where a run has no value."""
    steps = grid(min(run.end for run in runs), window)
    if not len(steps):
        nothing, name = np.full(1, math.nan), "steps" if axis is STEPS else axis.name
        return np.array([min(float(getattr(run, name)) for run in runs)]), Estimate(nothing, nothing, nothing)
    curves = []
    for run in runs:
        own, values = smoothed(run, window, column)
        x = along(run, axis, own)
        last = np.diff(x, append=math.inf) > 0  # of several values at one place
        curves.append((x[last], values[last]))
    at = steps
    if axis is not STEPS:  # the runs' mean pace, as far as all of them have a curve
        first, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
        at = np.unique(np.clip(np.mean([along(run, axis, steps) for run in runs], axis=0), first, end))
    return at, estimator.over_runs(np.array([np.interp(at, x, values, left=math.nan) for x, values in curves]))


def draw(
    rows: pd.DataFrame, axis: Axis, optima: Mapping[str, float], windows: Mapping[str, int], stat: str, methods: Sequence[str],
    paper: Paper | None = None,
) -> Figure:  # fmt: skip
    """Draw plotted rows.

    axis: what is drawn against. optima, windows: by task. stat: --stat. methods: of all figures, for the colours. paper: whose
    points to show.
    """
    limits = {}  # of the panels; a logarithmic one begins with the first curve
    for task, x in rows.groupby("task", sort=False)[axis.name]:
        end = float(x.max()) or 1.0
        limits[str(task)] = (min(x[x > 0].min(), end / 2) if (x > 0).any() else end / 2) if axis.log else 0.0, end
    lengths = {windows[task] for task in limits}
    drawn = set(rows[rows.center.notna()].method) - {"optimal"}
    colors = {method: style.color(method, methods) for method in style.order(methods) if method in drawn}
    measure = dict(zip(rows.task, rows.measure, strict=True))
    points = {
        (task, method): [point for point in paper.points(task, method, measure[task]) if point[0] <= end] if paper else []
        for task, (_, end) in limits.items()
        for method in colors
    }
    papers = dict.fromkeys(paper.model_of(measure[task]) for (task, _), own in points.items() if paper and own)
    dashes = {method: (0, style.DASHES[method]) if method in style.DASHES else "-" for method in colors}
    handles = [Line2D([], [], color=colors[each], ls=dashes[each], lw=1.6, label=style.label(each)) for each in colors]
    marks: dict[str, Any] = {"color": style.INK, "lw": 1.1, "marker": "o", "ms": 3.5, "mfc": "white", "ls": ""}
    handles += [Line2D([], [], **marks, label=f"paper, {model},\nread off the figure") for model in papers]
    columns = style.legend_columns(handles)
    below = -(-len(handles) // columns) + 2 + len(papers)  # lines of text
    figure, axes = style.panels(len(limits) * PANEL + 0.17 * below + 0.15, [1] * len(limits))
    for each, (task, (start, end)) in zip(axes, limits.items(), strict=True):
        own = rows[rows.task == task]
        if axis.log:
            style.logarithmic(each, start, end)
        each.set_xlim(start, end)
        _draw_methods(each, own, axis.name, colors)
        for method, color in colors.items():
            for first, last, value in points[task, method]:  # one point, or two between which the value stays
                at = sorted({first, min(last, int(end))})
                each.plot(at, [value] * len(at), color=color, lw=1.1, marker="o", ms=3.5, mfc="white", zorder=4, clip_on=False)
        style.heading(each, style.title(task))
        each.set_ylabel(measure[task], fontsize=8, color=style.INK)
        each.set_xlabel("")
        if own.center.isna().all():
            each.text(0.5, 0.4, NOTHING, transform=each.transAxes, fontsize=style.TEXT, color=style.INK, ha="center")
        if task in optima and measure[task] == RETURN:
            optimum = optima[task]
            each.axhline(optimum, color=style.COLORS["optimal"], lw=0.9, ls=(0, (4, 2.5)), zorder=1)
            each.annotate(f"optimum {optimum:.3f}", (0.01, optimum), (0, 2), xycoords=("axes fraction", "data"),
                          textcoords="offset points", color=style.INK, fontsize=7, ha="left", va="bottom")  # fmt: skip
            bottom, top = each.get_ylim()
            each.set_ylim(bottom, max(top, optimum + 0.1 * (optimum - bottom)))  # room for the label
        if len(lengths) > 1:
            each.set_title(f"N = {windows[task]:,}", fontsize=style.TEXT, color=style.INK, loc="right")
    last = "N" if len(lengths) > 1 else f"{min(lengths):,}"
    band = "IQM, 95 % interval" if stat == "iqm" else "mean, population std"
    of = f"mean of the episodes that began in the last {last}\n{'' if axis is STEPS else 'environment steps; '}over seeds: {band}"
    axes[-1].set_xlabel(f"{axis.label}\n{of}", fontsize=style.TEXT, color=style.INK)
    style.legend(figure, handles, 2.2, columns=columns)
    return figure


def _draw_methods(axes: Axes, rows: pd.DataFrame, x: str, colors: Mapping[str, str]) -> None:
    """Draw a line and its band for each method and stretch between points without a value, and a dot where it is one point.

    What was only evaluated has a level line: two points.
    """
    numbered = rows.assign(stretch=rows.center.isna().cumsum())
    level = numbered[numbered.kind == "evaluation"]
    points = pd.concat([numbered[numbered.kind != "evaluation"], *(level.assign(**{x: place}) for place in axes.get_xlim())])
    points = points[points.center.notna() & (points.method != "optimal")]
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
