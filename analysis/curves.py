"""Learning curves: discounted return against environment steps, a panel per task.

Two figures, as in the paper: norms against each other, and word against the baselines. With the plotted numbers as CSV.

python analysis/curves.py multirun --out results
"""

if __name__ == "__main__":  # before the imports that take seconds
    import signals

    signals.install()

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import collection
import commands
import measures
import paper
import style
import windows
from commands import warn
from runs import Run
from stats import Bootstrap, Estimate, over_runs
from writing import write_csv, write_figure

LANGUAGE = "twosome-"  # what the names of the norms' methods begin with
FIGURES = {
    "norms": lambda method: method.startswith(LANGUAGE),
    "baselines": lambda method: not method.startswith(LANGUAGE) or method == f"{LANGUAGE}word",
}
"""By name, which methods a figure shows."""
NOTHING = "nothing to draw yet"


def make(options: argparse.Namespace) -> list[Path]:
    """Draw both figures and write the numbers; returns the paths."""
    return make_of(collection.asked(options), options)


def make_of(runs: Sequence[Run], options: argparse.Namespace) -> list[Path]:
    """The same of runs that were read before."""
    tasks = collection.by_task(runs)
    found = windows.of_tasks(tasks, options.window)
    rows = pd.concat([plotted(task, methods, found[task], options) for task, methods in tasks.items()])
    paths = [write_csv(options.out / "curves.csv", rows)]
    for task, methods in tasks.items():
        for method in methods:
            if rows[(rows.task == task) & (rows.method == method)].center.isna().all():
                why = "no training episode has ended" if any(run.steps for run in methods[method]) else "it was not evaluated"
                warn(f"{task}, {method}: not drawn, since {why}")
    optima = {run.task: run.optimum for run in runs if not math.isnan(run.optimum)}
    for name, shows in FIGURES.items():
        chosen = rows[rows.method.map(shows)]
        if len(chosen):
            figure = draw(chosen, optima, found, options, sorted(set(rows.method)))
            paths += write_figure(options.out / f"curves_{name}", figure)
    return paths


def plotted(task: str, methods: Mapping[str, Sequence[Run]], window: int, options: argparse.Namespace) -> pd.DataFrame:
    """The numbers that are drawn of a task: a row per method and point; one at step 0 for what was only evaluated."""
    bootstrap = Bootstrap(options.bootstrap_samples, options.bootstrap_seed)
    tables = []
    for method in style.order(list(methods)):
        runs = methods[method]
        if trained := any(run.steps for run in runs):
            at, found = _curve(runs, window, options.stat, bootstrap)
        else:
            at, found = np.zeros(1), measures.level(runs, window, options.stat, bootstrap)
        table = pd.DataFrame({"env_steps": at.astype(int), "center": found.center, "low": found.low, "high": found.high})
        table.insert(0, "task", task)
        table.insert(1, "method", method)
        tables.append(table.assign(seeds=len(runs), kind="training" if trained else "evaluation"))
    return pd.concat(tables)


def _curve(runs: Sequence[Run], window: int, stat: str, bootstrap: Bootstrap) -> tuple[np.ndarray, Estimate]:
    """Where all runs have a value, up to the end of the shortest."""
    at = measures.grid(min(run.steps for run in runs), window)
    curves = [np.interp(at, *measures.smoothed(run, window), left=math.nan) for run in runs if len(at)]
    return at, over_runs(np.array(curves).reshape(len(runs), len(at)), stat, bootstrap)


def draw(
    rows: pd.DataFrame, optima: Mapping[str, float], found: Mapping[str, int], options: argparse.Namespace, methods: Sequence[str]
) -> Figure:
    """A figure of plotted rows. optima, found: optimum and window by task. methods: of all figures, for the colours."""
    ends = {str(task): max(int(of_task.env_steps.max()), 1) for task, of_task in rows.groupby("task", sort=False)}
    shown = [method for method in style.order(list(set(rows[rows.center.notna()].method))) if method != "optimal"]
    with_paper = options.paper and any(_paper_points(task, method, end) for task, end in ends.items() for method in shown)
    handles = [_handle(method, methods) for method in shown] + ([_paper_handle()] if with_paper else [])
    figure, axes = style.panels(len(ends), legend_rows=-(-len(handles) // 2) + 1 + with_paper)
    for each, (task, end) in zip(axes, ends.items(), strict=True):
        each.set_title(style.title(task), fontsize=8.5, color=style.INK, loc="left", fontweight="bold")
        each.set_ylabel("discounted return", fontsize=8, color=style.INK)
        each.set_xlim(0, end)
        for method in shown:
            color = style.color(method, methods)
            _draw_method(each, rows[(rows.task == task) & (rows.method == method)], method, color, end)
            if with_paper:
                _draw_paper(each, _paper_points(task, method, end), color)
        if rows[rows.task == task].center.isna().all():
            each.text(0.5, 0.4, NOTHING, transform=each.transAxes, fontsize=7.5, color=style.INK, ha="center")
        if task in optima:
            _draw_optimum(each, optima[task])
    _say_what(axes, [found[task] for task in ends], options.stat)
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5, frameon=False,
                  labelcolor=style.INK, handlelength=2.2, columnspacing=1.2, labelspacing=0.35)  # fmt: skip
    return figure


def _say_what(axes: Sequence[Axes], found: Sequence[int], stat: str) -> None:
    """What lines and bands are, below the panels. found: the panels' windows, said above each where they differ."""
    band = "IQM, 95 % bootstrap interval" if stat == "iqm" else "mean, population std"
    looks_back = f"the last {found[0]:,}"
    if len(set(found)) > 1:
        looks_back = "as many as panels say"
        for each, window in zip(axes, found, strict=True):
            each.set_title(f"last {window:,}", fontsize=7.5, color=style.INK, loc="right")
    told = f"environment steps; mean of {looks_back}\nover seeds: {band}"
    axes[-1].set_xlabel(told, fontsize=7.5, color=style.INK)


def _handle(method: str, methods: Sequence[str]) -> Line2D:
    return Line2D([], [], color=style.color(method, methods), ls=style.DASHES.get(method, "-"), lw=1.6, label=style.label(method))


def _paper_handle() -> Line2D:
    label = f"paper, {paper.content()['model']},\nread off the figure"
    return Line2D([], [], color=style.INK, lw=1.1, marker="o", ms=3.5, mfc="white", ls="", label=label)


def _draw_method(axes: Axes, points: pd.DataFrame, method: str, color: str, end: int) -> None:
    """A line and its band, level where a policy was only evaluated; nothing where the method has no run on the task."""
    at, center, low, high = (points[name].to_numpy(float) for name in ("env_steps", "center", "low", "high"))
    if (points.kind == "evaluation").any():
        at, center, low, high = np.array([0, end]), *(np.repeat(values, 2) for values in (center, low, high))
    axes.plot(at, center, color=color, lw=1.6, ls=style.DASHES.get(method, "-"), solid_capstyle="round", zorder=3)
    there = np.pad(~np.isnan(center), 1)
    alone = there[1:-1] & ~there[:-2] & ~there[2:]  # points without a neighbour, which a line does not show
    if alone.any():
        axes.plot(at[alone], center[alone], color=color, ls="", marker=".", ms=5, zorder=3, clip_on=False)
    axes.fill_between(at, low, high, color=color, alpha=0.18, lw=0, zorder=2)


def _paper_points(task: str, method: str, end: int) -> list[tuple[list[int], float]]:
    """The paper's points as far as the panel goes: steps (one, or the two between which the return stays) and return."""
    curve = paper.curve(task, method)
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


def parser() -> commands.Parser:
    """The command's options."""
    made = commands.parser(__doc__)
    commands.add_statistics(made)
    add_options(made)
    return made


def add_options(made: commands.Parser) -> None:
    """Those that this command has of its own."""
    made.add_argument("--no-paper", dest="paper", action="store_false", help="without the paper's points")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return commands.run(parser(), make, arguments)


if __name__ == "__main__":
    sys.exit(main())
