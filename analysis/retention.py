"""What the language model still knows after it learned to act: benchmarks and drift before and after, and over training.

Two tables, retention (accuracies, with a figure) and drift; and the forgetting curves of the runs that have retention.every.

Example: python analysis/retention.py multirun --out results
"""

import sys
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from twosome.errors import UserError
from twosome.report import retention, style
from twosome.report.commands import Command, Given
from twosome.report.measures import HEADLINE
from twosome.report.output import warn
from twosome.report.runs import ordinary

ROW = 0.3  # inches: height of a benchmark, and of each method beyond the first
DRIFTS = {"kl": "KL (nats)", "perplexity_ratio": "perplexity ratio"}
AGAINST = {"env_steps": "environment steps", "return": "discounted return"}


def make_of(given: Given) -> None:
    """Write tables and figures of runs that were read. Raises UserError where no language model was evaluated."""
    runs, paper, options, out = given
    groups = [(task, method, found[method]) for task, found in ordinary(runs).items() for method in style.order(list(found))]
    accuracies = pd.DataFrame([row for group in groups for row in retention.accuracy_rows(*group, paper)])
    if accuracies.empty:
        raise UserError(
            "expected a run whose language model was asked something, found none; ask with python src/evaluate.py "
            "run=<folder of a finished run> suite=retention, or suite=drift, which needs no data"
        )
    out.table("retention", retention.accuracy_table(accuracies, paper, options.evaluations))
    out.figure("retention", draw_accuracies(accuracies))
    drift = pd.DataFrame([row for group in groups for row in retention.drift_rows(*group)])
    out.table("drift", retention.drift_table(drift, options.evaluations))
    curves = pd.DataFrame([row for group in groups for row in retention.forgetting_rows(*group)])
    if curves.empty:
        warn("no forgetting curves: no run was probed during training (src/run.py, retention.every=<updates>)")
        return
    out.csv("forgetting", curves)
    out.figure("forgetting", draw_forgetting(curves))


def draw_accuracies(data: pd.DataFrame) -> Figure:
    """Draw a panel for each trained-on task, in it a row for each benchmark. data: rows of retention.csv."""
    data = data[data.metric == HEADLINE] if (data.metric == HEADLINE).any() else data
    panels = {task: rows for task, rows in data.groupby("trained_on", sort=False)}
    methods = style.order(sorted(set(data.method)))
    colors = {method: style.color(method, methods) for method in methods}
    counts = [max(2.0, rows.benchmark.nunique() * (1 + 0.4 * (len(methods) - 1))) for rows in panels.values()]
    figure, axes = style.panels(ROW * sum(counts) + 0.42 * len(counts) + 1.1, counts, sharex=True)
    for each, (task, rows) in zip(axes, panels.items(), strict=True):
        _accuracies(each, rows, colors)
        style.heading(each, f"trained on {style.title(str(task)).lower()}", "right")
    handles = [Line2D([], [], color=color, marker="o", ms=4, lw=1.2, label=style.label(each)) for each, color in colors.items()]
    handles.append(Line2D([], [], color=style.INK, marker="|", ms=9, mew=1.4, ls="", label="before"))
    if data.poad_before.notna().any():
        handles.append(Line2D([], [], color=style.INK, marker="d", ms=3.5, mfc="white", ls="", label="POAD, LLaMA2-7B"))
    caption = f"accuracy ({HEADLINE}) before and after training\nbar: 95 % interval of the paired change"
    style.legend(figure, handles, 1.4, caption)
    return figure


def _accuracies(axes: Axes, rows: pd.DataFrame, colors: dict[str, str]) -> None:
    names = list(dict.fromkeys(rows.benchmark))
    ends = rows.assign(low=rows.before + rows.low, high=rows.before + rows.high)[["benchmark", "method", "after", "low", "high"]]
    sns.pointplot(style.given(ends, "after", "low", "high"), x="value", y="benchmark", hue="method", order=names,
                  hue_order=list(colors), palette=colors, dodge=0.22 * (len(colors) - 1), **style.GIVEN, linestyle="none",
                  markersize=5, markeredgewidth=0, err_kws={"lw": 1.2, "solid_capstyle": "butt"}, zorder=4, legend=False,
                  ax=axes)  # fmt: skip
    at = rows.benchmark.map(names.index)
    axes.vlines(rows.before, at - 0.38, at + 0.38, color=style.INK, lw=1.1, zorder=2)
    for when in ("poad_before", "poad_after"):
        axes.plot(rows[when], at + 0.36, color=style.INK, marker="d", ms=3.5, mfc="white", ls="", zorder=5)
    style.categories(axes, [retention.TITLES.get(name, name) for name in names])
    axes.set(xlim=(0, 1))


def draw_forgetting(data: pd.DataFrame) -> Figure:
    """Draw for each task KL and perplexity ratio against steps, with the band over seeds, and against return.

    data: rows of forgetting.csv.
    """
    tasks, methods = list(dict.fromkeys(data.task)), style.order(sorted(set(data.method)))
    colors = {method: style.color(method, methods) for method in methods}
    places = [(task, drift) for task in tasks for drift in DRIFTS]
    figure = style.blank(len(places) * 1.25 + 0.17 * -(-len(methods) // 2) + 0.35)
    grid = figure.subplots(len(places), len(AGAINST), squeeze=False, sharey="row")
    look: dict[str, Any] = {"lw": 1.4, "marker": "o", "ms": 3.5, "mew": 0, "zorder": 3, "sort": False}
    look |= {"hue": "method", "palette": colors, "legend": False}
    for (task, drift), row in zip(places, grid, strict=True):
        rows = data[data.task == task]
        for axes in row:
            style.decorate(axes)
            axes.tick_params(labelsize=7)
        low, high = f"{drift}_low", f"{drift}_high"
        ends = style.given(rows[["method", "env_steps", drift, low, high]], drift, low, high)
        sns.lineplot(ends, x="env_steps", y="value", ax=row[0], **look, **style.GIVEN, err_kws={"alpha": 0.18, "lw": 0})
        sns.lineplot(rows, x="return", y=drift, ax=row[1], **look, estimator=None)
        for axes, name in zip(row, AGAINST.values(), strict=True):
            axes.set_xlabel(name if drift == list(DRIFTS)[-1] else "", fontsize=7.5, color=style.INK)
        row[0].set_ylabel(DRIFTS[drift], fontsize=7.5, color=style.INK)
        if drift == next(iter(DRIFTS)):
            style.heading(row[0], style.title(task))
    handles = [Line2D([], [], color=color, marker="o", ms=2.5, lw=1.4, label=style.label(each)) for each, color in colors.items()]
    style.legend(figure, handles, 1.6)
    return figure


command = Command(__file__, __doc__, make_of, "evaluations")
main = command.main

if __name__ == "__main__":
    sys.exit(main())
