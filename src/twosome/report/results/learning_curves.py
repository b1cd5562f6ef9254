"""Learning curves: the numbers that are drawn, and a figure with a panel per task."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from twosome.report.data.run import Run
from twosome.report.output import style
from twosome.report.paper import Paper
from twosome.report.statistics import measures, smoothing
from twosome.report.statistics.estimates import Bootstrap, Estimate, over_runs

NOTHING = "nothing to draw yet"


def plotted(task: str, methods: Mapping[str, Sequence[Run]], window: int, stat: str, bootstrap: Bootstrap) -> pd.DataFrame:
    """Compute the numbers that are drawn of a task: a row per method and point; one at step 0 for what was only evaluated."""
    tables = []
    for method in style.order(list(methods)):
        runs = methods[method]
        if trained := any(run.steps for run in runs):
            at, found = _curve(runs, window, stat, bootstrap)
        else:
            at, found = np.zeros(1), measures.level(runs, window, stat, bootstrap)
        table = pd.DataFrame({"env_steps": at.astype(int), "center": found.center, "low": found.low, "high": found.high})
        table.insert(0, "task", task)
        table.insert(1, "method", method)
        tables.append(table.assign(seeds=len(runs), kind="training" if trained else "evaluation"))
    return pd.concat(tables)


def _curve(runs: Sequence[Run], window: int, stat: str, bootstrap: Bootstrap) -> tuple[np.ndarray, Estimate]:
    """Return steps and the statistic over runs, up to the end of the shortest; nan where a run has no value."""
    at = smoothing.grid(min(run.steps for run in runs), window)
    curves = [np.interp(at, *smoothing.smoothed(run, window), left=math.nan) for run in runs if len(at)]
    return at, over_runs(np.array(curves).reshape(len(runs), len(at)), stat, bootstrap)


def draw(
    rows: pd.DataFrame,
    optima: Mapping[str, float],
    windows: Mapping[str, int],
    stat: str,
    methods: Sequence[str],
    paper: Paper | None,
) -> Figure:
    """Draw plotted rows. optima, windows: by task. methods: of all figures, for the colours. paper: whose points to show."""
    ends = {str(task): max(int(of_task.env_steps.max()), 1) for task, of_task in rows.groupby("task", sort=False)}
    shown = [method for method in style.order(list(set(rows[rows.center.notna()].method))) if method != "optimal"]
    colors = {method: style.color(method, methods) for method in shown}
    points = {(task, method): _paper_points(paper, task, method, end) for task, end in ends.items() for method in shown}
    handles = [_handle(method, colors[method]) for method in shown]
    if paper and any(points.values()):
        handles.append(_paper_handle(paper))
    figure, axes = style.panels(len(ends), legend_rows=-(-len(handles) // 2) + 1 + any(points.values()))
    for each, (task, end) in zip(axes, ends.items(), strict=True):
        each.set_xlim(0, end)
        _draw_methods(each, _stretches(rows[rows.task == task], end), colors)
        for method in shown:
            _draw_paper(each, points[task, method], colors[method])
        each.set_title(style.title(task), fontsize=8.5, color=style.INK, loc="left", fontweight="bold")
        each.set_ylabel("discounted return", fontsize=8, color=style.INK)
        each.set_xlabel("")
        if rows[rows.task == task].center.isna().all():
            each.text(0.5, 0.4, NOTHING, transform=each.transAxes, fontsize=7.5, color=style.INK, ha="center")
        if task in optima:
            _draw_optimum(each, optima[task])
    _explain(axes, [windows[task] for task in ends], stat)
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5, frameon=False,
                  labelcolor=style.INK, handlelength=2.2, columnspacing=1.2, labelspacing=0.35)  # fmt: skip
    return figure


def _explain(axes: Sequence[Axes], windows: Sequence[int], stat: str) -> None:
    """Say below the panels what lines and bands are. windows: of the panels, shown above each panel where they differ."""
    band = "IQM, 95 % bootstrap interval" if stat == "iqm" else "mean, population std"
    looks_back = f"the last {windows[0]:,}"
    if len(set(windows)) > 1:
        looks_back = "as many as panels say"
        for each, window in zip(axes, windows, strict=True):
            each.set_title(f"last {window:,}", fontsize=7.5, color=style.INK, loc="right")
    label = f"environment steps; mean of {looks_back}\nover seeds: {band}"
    axes[-1].set_xlabel(label, fontsize=7.5, color=style.INK)


def _handle(method: str, color: str) -> Line2D:
    dashes = (0, style.DASHES[method]) if method in style.DASHES else "-"
    return Line2D([], [], color=color, ls=dashes, lw=1.6, label=style.label(method))


def _paper_handle(paper: Paper) -> Line2D:
    label = f"paper, {paper.model},\nread off the figure"
    return Line2D([], [], color=style.INK, lw=1.1, marker="o", ms=3.5, mfc="white", ls="", label=label)


def _stretches(rows: pd.DataFrame, end: int) -> pd.DataFrame:
    """Return the points of one panel that have a value, numbered by the stretches of a curve between which there is none.

    What was only evaluated has a level line: two points.
    """
    numbered = rows.assign(stretch=rows.center.isna().cumsum())
    level = numbered[numbered.kind == "evaluation"].assign(env_steps=end)
    points = pd.concat([numbered, level])
    return points[points.center.notna() & (points.method != "optimal")]


def _draw_methods(axes: Axes, points: pd.DataFrame, colors: Mapping[str, str]) -> None:
    """Draw a line and its band for each method and stretch, and a dot where a stretch is one point."""
    if points.empty:
        return
    dashes = {method: style.DASHES.get(method, "") for method in colors}
    sns.lineplot(points, x="env_steps", y="center", hue="method", style="method", units="stretch", estimator=None, palette=colors,
                 dashes=dashes, lw=1.6, solid_capstyle="round", zorder=3, legend=False, ax=axes)  # fmt: skip
    for (method, _), stretch in points.groupby(["method", "stretch"], sort=False):
        color = colors[str(method)]
        axes.fill_between(stretch.env_steps, stretch.low, stretch.high, color=color, alpha=0.18, lw=0, zorder=2)
        if len(stretch) == 1:
            axes.plot(stretch.env_steps, stretch.center, color=color, ls="", marker=".", ms=5, zorder=3, clip_on=False)


def _paper_points(paper: Paper | None, task: str, method: str, end: int) -> list[tuple[list[int], float]]:
    """Return the paper's points as far as the panel goes: steps (one, or the two between which the return stays) and return."""
    curve = paper.curve(task, method) if paper else None
    return [(sorted({first, min(last, end)}), value) for first, last, value in (curve.points if curve else []) if first <= end]


def _draw_paper(axes: Axes, points: Sequence[tuple[list[int], float]], color: str) -> None:
    for at, value in points:
        axes.plot(at, [value] * len(at), color=color, lw=1.1, marker="o", ms=3.5, mfc="white", zorder=4, clip_on=False)


def _draw_optimum(axes: Axes, optimum: float) -> None:
    axes.axhline(optimum, color=style.COLORS["optimal"], lw=0.9, ls=(0, (4, 2.5)), zorder=1)
    axes.annotate(f"optimum {optimum:.3f}", (0.01, optimum), (0, 2), xycoords=("axes fraction", "data"),
                  textcoords="offset points", color=style.INK, fontsize=7, ha="left", va="bottom")  # fmt: skip
    low, high = axes.get_ylim()
    axes.set_ylim(low, max(high, optimum + 0.1 * (optimum - low)))  # room for the label
