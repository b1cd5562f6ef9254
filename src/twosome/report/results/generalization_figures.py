"""Success on tasks that were not trained on: bars for each task, and the matrix of trained-on against tested-on tasks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from twosome.report.output import style
from twosome.report.statistics.transfer import WHEN

BAR = 0.27  # of the distance between two tasks
ROW, CELL = 0.36, 0.19  # inches: height of a task's bars, of a row of the matrix


def bars(data: pd.DataFrame, method: str, model: str) -> Figure:
    """Draw a panel for each trained-on task. data: rows of generalization.csv. model: the paper's language model."""
    colors = {"random": style.COLORS["random"], "before": style.COLORS["saycan-none"], "after": style.color(method, [method])}
    panels = {trained: rows for trained, rows in data.groupby("trained_on", sort=False)}
    counts = [rows.task.nunique() for rows in panels.values()]
    figure = _figure(ROW * sum(counts) + 0.42 * len(counts) + 0.95)
    axes = figure.subplots(len(counts), 1, squeeze=False, sharex=True, height_ratios=counts)[:, 0]
    for each, (trained, rows) in zip(axes, panels.items(), strict=True):
        style.decorate(each)
        _bars(each, rows, colors)
        told = f"trained on {style.title(str(trained)).lower()}"
        each.set_title(told, fontsize=8.5, color=style.INK, loc="right", fontweight="bold")
    handles: list[Patch | Line2D] = [Patch(color=colors[when], label=name) for when, name in WHEN.items()]
    handles.append(Line2D([], [], color=style.INK, marker="|", ms=5, ls="", label="each seed"))
    if data.paper.notna().any():
        label = f"paper, {model}, read off the figure"
        handles.append(Line2D([], [], color=style.INK, marker="o", ms=3.5, mfc="white", ls="", label=label))
    told = "success rate; 95 % Wilson interval of the episodes"
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5, title_fontsize=7.5, frameon=False,
                  labelcolor=style.INK, handlelength=1.4, columnspacing=1.2, labelspacing=0.35, title=told)  # fmt: skip
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, colors: dict[str, str]) -> None:
    tasks = list(dict.fromkeys(rows.task))
    for offset, (when, color) in zip((-BAR, 0, BAR), colors.items(), strict=True):
        found = rows[rows.when == when].set_index("task").loc[tasks]
        at, rate = np.arange(len(tasks)) + offset, found.rate.to_numpy()
        axes.barh(at, rate, BAR * 0.92, color=color, zorder=2)
        ends = [rate - found.low, found.high - rate]
        axes.errorbar(rate, at, xerr=ends, fmt="none", ecolor=style.INK, elinewidth=0.8, capsize=1.6, capthick=0.8, zorder=3)
        if when == "after":
            for place, rates in zip(at, found.by_seed, strict=True):
                seeds = [float(each) for each in rates.split()]
                axes.plot(seeds, [place] * len(seeds), color="white", marker="|", ms=5.5, mew=2.2, ls="", zorder=4, clip_on=False)
                axes.plot(seeds, [place] * len(seeds), color=style.INK, marker="|", ms=5, mew=1, ls="", zorder=5, clip_on=False)
        axes.plot(found.paper, at, color=style.INK, marker="o", ms=3.5, mfc="white", ls="", zorder=6, clip_on=False)
    axes.set_yticks(range(len(tasks)), list(map(style.title, tasks)))
    axes.set_ylim(len(tasks) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def matrix(data: pd.DataFrame) -> Figure:
    """Draw success, and success less the untrained model's, in percent. data: rows of transfer.csv."""
    columns = list(dict.fromkeys(data.trained_on))
    tested = list(dict.fromkeys(zip(data.env, data.task, strict=True)))
    figure = _figure(CELL * len(tested) + 1.85)
    axes = list(figure.subplots(1, 2, sharey=True))
    for each, value, low, colours, title in zip(
        axes, ("rate", "gain"), (0.0, -1.0), ("Blues", "PuOr"), ("success", "gain"), strict=True
    ):
        cells = np.full((len(tested), len(columns)), np.nan)
        for row in data.to_dict("records"):
            cells[tested.index((row["env"], row["task"])), columns.index(row["trained_on"])] = row[value]
        _heatmap(each, cells, low, colours, signed=low < 0)
        each.set_title(title, fontsize=8.5, color=style.INK, fontweight="bold")
        each.set_xticks(range(len(columns)), list(map(style.title, columns)), rotation=90)
    for row in data[data.own].to_dict("records"):
        place = (columns.index(row["trained_on"]) - 0.5, tested.index((row["env"], row["task"])) - 0.5)
        for each in axes:
            each.add_patch(Rectangle(place, 1, 1, fill=False, ec=style.INK, lw=1.3, zorder=4, clip_on=False))
    axes[0].set_yticks(range(len(tested)), [style.title(task) for _, task in tested])
    told = "columns: trained on; rows: tested on; framed: the same\npercent of episodes; gain: over the untrained model"
    figure.supxlabel(told, fontsize=7.5, color=style.INK)
    _divide(axes, [env for env, _ in tested])
    return figure


def _heatmap(axes: Axes, cells: np.ndarray, low: float, colours: str, signed: bool) -> None:
    axes.imshow(cells, cmap=colours, vmin=low, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(cells):
        text = "" if np.isnan(value) else f"{100 * value:{'+' if signed else ''}.0f}".replace("+0", "0").replace("-0", "0")
        dark = abs(value) > 0.55  # nan is not
        axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color="white" if dark else style.INK)
    axes.tick_params(labelsize=7.5, colors=style.INK, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _divide(axes: Sequence[Axes], envs: Sequence[str]) -> None:
    """Draw a line between environments."""
    for at in range(1, len(envs)):
        if envs[at] != envs[at - 1]:
            for each in axes:
                each.axhline(at - 0.5, color=style.INK, lw=0.8, zorder=3)


def _figure(height: float) -> Figure:
    figure = Figure(figsize=(style.WIDTH, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure
