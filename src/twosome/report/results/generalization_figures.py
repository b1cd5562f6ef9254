"""Success on tasks that were not trained on: bars for each task, and the matrix of trained-on against tested-on tasks."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from twosome.report.output import style
from twosome.report.statistics.transfer import WHEN

POINTS: dict[str, Any] = {"dodge": True, "jitter": False, "clip_on": False}  # beside each other, as the bars are
ROW, CELL, LETTER = 0.36, 0.19, 0.054  # inches: height of a task's bars, of a row of the matrix, of a letter of a column's name


def bars(data: pd.DataFrame, method: str, model: str) -> Figure:
    """Draw a panel for each trained-on task. data: rows of generalization.csv. model: the paper's language model."""
    colors = {"random": style.COLORS["random"], "before": style.COLORS["saycan-none"], "after": style.color(method, [method])}
    panels = {trained: rows for trained, rows in data.groupby("trained_on", sort=False)}
    counts = [rows.task.nunique() for rows in panels.values()]
    figure = style.blank(ROW * sum(counts) + 0.42 * len(counts) + 0.95)
    axes = figure.subplots(len(counts), 1, squeeze=False, sharex=True, height_ratios=counts)[:, 0]
    for each, (trained, rows) in zip(axes, panels.items(), strict=True):
        style.decorate(each)
        _bars(each, rows, colors)
        caption = f"trained on {style.title(str(trained)).lower()}"
        each.set_title(caption, fontsize=8.5, color=style.INK, loc="right", fontweight="bold")
    handles: list[Patch | Line2D] = [Patch(color=colors[when], label=name) for when, name in WHEN.items()]
    handles.append(Line2D([], [], color=style.INK, marker="|", ms=5, ls="", label="each seed"))
    if data.paper.notna().any():
        label = f"paper, {model}, read off the figure"
        handles.append(Line2D([], [], color=style.INK, marker="o", ms=3.5, mfc="white", ls="", label=label))
    caption = "success rate; 95 % Wilson interval of the episodes"
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5, title_fontsize=7.5, frameon=False,
                  labelcolor=style.INK, handlelength=1.4, columnspacing=1.2, labelspacing=0.35, title=caption)  # fmt: skip
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, colors: dict[str, str]) -> None:
    tasks, players = list(dict.fromkeys(rows.task)), list(colors)
    place: dict[str, Any] = {"y": "task", "hue": "when", "order": tasks, "hue_order": players, "legend": False, "ax": axes}
    ends = style.given(rows[["task", "when", "rate", "low", "high"]], "rate", "low", "high")
    sns.barplot(ends, x="value", **place, **style.GIVEN, palette=colors, saturation=1, gap=0.08, capsize=0.1, zorder=2,
                err_kws={"color": style.INK, "lw": 0.8, "zorder": 3})  # fmt: skip
    trained = rows[rows.when == "after"]
    seeds = trained.assign(rate=trained.by_seed.str.split()).explode("rate").astype({"rate": float})
    for color, size, width in (("white", 5.5, 2.2), (style.INK, 5, 1)):
        sns.stripplot(seeds, x="rate", **place, **POINTS, palette=dict.fromkeys(players, color), marker="|", size=size,
                      linewidth=width, zorder=4)  # fmt: skip
    papers = rows[rows.paper.notna()]
    if len(papers):
        sns.stripplot(papers, x="paper", **place, **POINTS, palette=dict.fromkeys(players, "white"), edgecolor=style.INK, size=4,
                      linewidth=1, zorder=6)  # fmt: skip
    axes.set(yticks=range(len(tasks)), yticklabels=list(map(style.title, tasks)), ylim=(len(tasks) - 0.5, -0.5), xlim=(0, 1))
    axes.set(xlabel="", ylabel="")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def matrix(data: pd.DataFrame) -> Figure:
    """Draw success, and success less the untrained model's, in percent. data: rows of transfer.csv."""
    columns = list(dict.fromkeys(data.trained_on))
    tested = list(dict.fromkeys(zip(data.env, data.task, strict=True)))
    names = [style.title(task) for _, task in tested]
    figure = style.blank(CELL * len(tested) + LETTER * max(len(style.title(task)) for task in columns) + 0.95)
    axes = list(figure.subplots(1, 2, sharey=True))
    for each, value, low, colors, title in zip(
        axes, ("rate", "gain"), (0, -100), ("Blues", "PuOr"), ("success", "gain"), strict=True
    ):
        cells = 100 * data.pivot(index=["env", "task"], columns="trained_on", values=value).reindex(tested)[columns]
        labels = cells.round().add(0).map(("{:+.0f}" if low else "{:.0f}").format, "ignore").replace("+0", "0")
        each.tick_params(labelsize=7.5, colors=style.INK, length=0)  # first, since heatmap lays the figure out
        sns.heatmap(cells, vmin=low, vmax=100, cmap=colors, annot=labels, fmt="", annot_kws={"fontsize": 6.5}, cbar=False,
                    xticklabels=list(map(style.title, columns)), yticklabels=names, ax=each)  # fmt: skip
        each.tick_params("x", labelrotation=90)
        each.tick_params("y", labelrotation=0)
        each.set(xlabel="", ylabel="")
        each.set_title(title, fontsize=8.5, color=style.INK, fontweight="bold")
        for row in data[data.own].to_dict("records"):
            place = (columns.index(row["trained_on"]), tested.index((row["env"], row["task"])))
            each.add_patch(Rectangle(place, 1, 1, fill=False, ec=style.INK, lw=1.3, zorder=4, clip_on=False))
    caption = "columns: trained on; rows: tested on; framed: the same\npercent of episodes; gain: over the untrained model"
    figure.supxlabel(caption, fontsize=7.5, color=style.INK)
    _divide(axes, [env for env, _ in tested])
    return figure


def _divide(axes: Sequence[Axes], envs: Sequence[str]) -> None:
    """Draw a line between environments."""
    for at in range(1, len(envs)):
        if envs[at] != envs[at - 1]:
            for each in axes:
                each.axhline(at, color=style.INK, lw=0.8, zorder=3)
