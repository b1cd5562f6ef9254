"""What the language model still knows: figures of accuracies before and after, and of forgetting over training."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from twosome.report.data.retention import HEADLINE
from twosome.report.output import style

ROW = 0.3  # inches: height of a benchmark, and of each method beyond the first
DRIFTS = {"kl": "KL (nats)", "perplexity_ratio": "perplexity ratio"}
AGAINST = {"env_steps": "environment steps", "return": "discounted return"}


def accuracies(data: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Draw a panel for each trained-on task, in it a row for each benchmark. data: rows of retention.csv."""
    data = data[data.metric == HEADLINE] if (data.metric == HEADLINE).any() else data
    panels = {task: rows for task, rows in data.groupby("trained_on", sort=False)}
    methods = style.order(sorted(set(data.method)))
    counts = [max(2.0, rows.benchmark.nunique() * (1 + 0.4 * (len(methods) - 1))) for rows in panels.values()]
    figure = style.blank(ROW * sum(counts) + 0.42 * len(counts) + 1.1)
    axes = figure.subplots(len(counts), 1, squeeze=False, sharex=True, height_ratios=counts)[:, 0]
    for each, (task, rows) in zip(axes, panels.items(), strict=True):
        style.decorate(each)
        _panel(each, rows, methods, titles)
        caption = f"trained on {style.title(str(task)).lower()}"
        each.set_title(caption, fontsize=8.5, color=style.INK, loc="right", fontweight="bold")
    handles = [Line2D([], [], color=style.color(m, methods), marker="o", ms=4, lw=1.2, label=style.label(m)) for m in methods]
    handles.append(Line2D([], [], color=style.INK, marker="|", ms=9, mew=1.4, ls="", label="before"))
    if data.poad_before.notna().any():
        handles.append(Line2D([], [], color=style.INK, marker="d", ms=3.5, mfc="white", ls="", label="POAD, LLaMA2-7B"))
    caption = f"accuracy ({HEADLINE}) before and after training\nbar: 95 % interval of the paired change"
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5, title_fontsize=7.5, frameon=False,
                  labelcolor=style.INK, handlelength=1.4, columnspacing=1.2, labelspacing=0.35, title=caption)  # fmt: skip
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, methods: list[str], titles: Mapping[str, str]) -> None:
    names, colors = list(dict.fromkeys(rows.benchmark)), {method: style.color(method, methods) for method in methods}
    ends = rows.assign(low=rows.before + rows.low, high=rows.before + rows.high)[["benchmark", "method", "after", "low", "high"]]
    sns.pointplot(style.given(ends, "after", "low", "high"), x="value", y="benchmark", hue="method", order=names,
                  hue_order=methods, palette=colors, dodge=0.22 * (len(methods) - 1), **style.GIVEN, linestyle="none",
                  markersize=5, markeredgewidth=0, err_kws={"lw": 1.2, "solid_capstyle": "butt"}, zorder=4, legend=False,
                  ax=axes)  # fmt: skip
    at = rows.benchmark.map(names.index)
    axes.vlines(rows.before, at - 0.38, at + 0.38, color=style.INK, lw=1.1, zorder=2)
    for when in ("poad_before", "poad_after"):
        axes.plot(rows[when], at + 0.36, color=style.INK, marker="d", ms=3.5, mfc="white", ls="", zorder=5)
    axes.set(yticks=range(len(names)), yticklabels=[titles.get(name, name) for name in names], ylim=(len(names) - 0.5, -0.5))
    axes.set(xlim=(0, 1), xlabel="", ylabel="")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def forgetting(data: pd.DataFrame) -> Figure:
    """Draw for each task KL and perplexity ratio against steps and against return. data: rows of forgetting.csv."""
    tasks, methods = list(dict.fromkeys(data.task)), style.order(sorted(set(data.method)))
    height = len(tasks) * len(DRIFTS) * 1.25
    figure = style.blank(height + 0.17 * -(-len(methods) // 2) + 0.35)
    grid = figure.subplots(len(tasks) * len(DRIFTS), len(AGAINST), squeeze=False, sharey="row")
    colors = {method: style.color(method, methods) for method in methods}
    places = [(task, drift) for task in tasks for drift in DRIFTS]
    for (task, drift), row in zip(places, grid, strict=True):
        for axes, against in zip(row, AGAINST, strict=True):
            style.decorate(axes)
            axes.tick_params(labelsize=7)
            _curves(axes, data[data.task == task], against, drift, colors)
            axes.set_xlabel(AGAINST[against] if drift == list(DRIFTS)[-1] else "", fontsize=7.5, color=style.INK)
        row[0].set_ylabel(DRIFTS[drift], fontsize=7.5, color=style.INK)
        if drift == next(iter(DRIFTS)):
            row[0].set_title(style.title(task), fontsize=8.5, color=style.INK, loc="left", fontweight="bold")
    handles = [Line2D([], [], color=style.color(m, methods), marker="o", ms=2.5, lw=1.4, label=style.label(m)) for m in methods]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5, frameon=False, labelcolor=style.INK,
                  handlelength=1.6, columnspacing=1.2, labelspacing=0.35)  # fmt: skip
    return figure


def _curves(axes: Axes, rows: pd.DataFrame, against: str, drift: str, colors: Mapping[str, str]) -> None:
    """Draw a line along training for each method; over steps with the band over seeds."""
    shared: dict[str, Any] = {"x": against, "hue": "method", "palette": colors, "legend": False, "ax": axes}
    look: dict[str, Any] = {"lw": 1.4, "marker": "o", "ms": 3.5, "mew": 0, "zorder": 3, "sort": False}
    if against == "env_steps":
        low, high = f"{drift}_low", f"{drift}_high"
        ends = style.given(rows[["method", against, drift, low, high]], drift, low, high)
        sns.lineplot(ends, y="value", **shared, **look, **style.GIVEN, err_kws={"alpha": 0.18, "lw": 0})
    else:
        sns.lineplot(rows, y=drift, **shared, **look, estimator=None)
