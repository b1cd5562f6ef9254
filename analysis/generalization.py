"""Success on tasks that were never trained on: random play, the untrained model and the trained agent, beside the paper's.

Two tables, each with its figure: generalization, the other tasks of the environment (the paper's figure 6); and transfer, all
trained-on tasks against all tested-on tasks, as far as src/evaluate.py played them with suite=unseen or suite=cross. And a table,
glam_tests, of the environments' tests of generalisation, GLAM's among them, if there are runs that played them (suite=glam).

Example: python analysis/generalization.py multirun --out results
"""

import sys
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from twosome.report import generalization, style
from twosome.report.commands import Command, Given
from twosome.report.output import warn
from twosome.report.runs import WHO, ordinary

POINTS: dict[str, Any] = {"dodge": True, "jitter": False, "clip_on": False}  # beside each other, as the bars are
ROW, CELL, LETTER = 0.36, 0.19, 0.054  # inches: height of a task's bars, of a row of the matrix, of a letter of a column's name


def make_of(given: Given) -> None:
    """Write the tables and figures of runs that were read."""
    runs, paper, options, out = given
    tasks = ordinary(runs)
    tests = pd.DataFrame(generalization.glam_rows(tasks, paper))
    if not tests.empty:
        out.table("glam_tests", generalization.glam_table(tests, paper, options))
        agents = [run for methods in tasks.values() for run in methods.get(options.method, [])]
        if not generalization.tested(agents, options.mode):
            return
    data = generalization.rows(tasks, paper, options)
    others = data[(data.env == data.trained_env) & ~data.own]
    if others.empty:  # all were played in another environment
        warn(f"no table or figure of unseen tasks: no run of {options.method} was tested on them (src/evaluate.py, suite=unseen)")
    else:
        out.table("generalization", generalization.unseen_table(others, paper, options))
        out.figure("generalization", bars(others, options.method, paper.content["model"]))
    trained = data[(data.when == "after") & data.gain.notna()]
    out.table("transfer", generalization.transfer_table(trained, options))
    out.figure("transfer", matrix(trained))


def bars(data: pd.DataFrame, method: str, model: str) -> Figure:
    """Draw a panel for each trained-on task. data: rows of generalization.csv. model: the paper's language model."""
    colors = {"random": style.COLORS["random"], "before": style.COLORS["saycan-none"], "after": style.color(method, [method])}
    panels = {trained: rows for trained, rows in data.groupby("trained_on", sort=False)}
    counts = [rows.task.nunique() for rows in panels.values()]
    figure, axes = style.panels(ROW * sum(counts) + 0.42 * len(counts) + 0.95, counts, sharex=True)
    for each, (trained, rows) in zip(axes, panels.items(), strict=True):
        _bars(each, rows, colors)
        style.heading(each, f"trained on {style.title(str(trained)).lower()}", "right")
    handles: list[Patch | Line2D] = [Patch(color=colors[when], label=name) for when, name in WHO.items()]
    handles.append(Line2D([], [], color=style.INK, marker="|", ms=5, ls="", label="each seed"))
    if data.paper.notna().any():
        label = f"paper, {model}, read off the figure"
        handles.append(Line2D([], [], color=style.INK, marker="o", ms=3.5, mfc="white", ls="", label=label))
    style.legend(figure, handles, 1.4, "success rate; 95 % Wilson interval of the episodes")
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
    style.categories(axes, list(map(style.title, tasks)))
    axes.set(xlim=(0, 1))


def matrix(data: pd.DataFrame) -> Figure:
    """Draw success, and success less the untrained model's, in percent. data: rows of transfer.csv."""
    columns = list(dict.fromkeys(data.trained_on))
    tested = list(dict.fromkeys(zip(data.env, data.task, strict=True)))
    names = [style.title(task) for _, task in tested]
    figure = style.blank(CELL * len(tested) + LETTER * max(len(style.title(task)) for task in columns) + 0.95)
    axes = figure.subplots(1, 2, sharey=True)
    for each, value, low, colors in zip(axes, ("rate", "gain"), (0, -100), ("Blues", "PuOr"), strict=True):
        cells = 100 * data.pivot(index=["env", "task"], columns="trained_on", values=value).reindex(tested)[columns]
        labels = cells.round().add(0).map(("{:+.0f}" if low else "{:.0f}").format, "ignore").replace("+0", "0")
        each.tick_params(labelsize=7.5, colors=style.INK, length=0)  # first, since heatmap lays the figure out
        sns.heatmap(cells, vmin=low, vmax=100, cmap=colors, annot=labels, fmt="", annot_kws={"fontsize": 6.5}, cbar=False,
                    xticklabels=list(map(style.title, columns)), yticklabels=names, ax=each)  # fmt: skip
        each.tick_params("x", labelrotation=90)
        each.tick_params("y", labelrotation=0)
        each.set(xlabel="", ylabel="")
        style.heading(each, "success" if value == "rate" else value, "center")
        for row in data[data.own].to_dict("records"):
            place = (columns.index(row["trained_on"]), tested.index((row["env"], row["task"])))
            each.add_patch(Rectangle(place, 1, 1, fill=False, ec=style.INK, lw=1.3, zorder=4, clip_on=False))
        for at in range(1, len(tested)):
            if tested[at][0] != tested[at - 1][0]:  # another environment
                each.axhline(at, color=style.INK, lw=0.8, zorder=3)
    caption = "columns: trained on; rows: tested on; framed: the same\npercent of episodes; gain: over the untrained model"
    figure.supxlabel(caption, fontsize=7.5, color=style.INK)
    return figure


command = Command(__file__, __doc__, make_of, "evaluations", "mode", "method")
main = command.main

if __name__ == "__main__":
    sys.exit(main())
