"""The figure of an ablation: a panel for each task and measure, in it a row of points for each value."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from twosome.report.output import style
from twosome.report.statistics.ablations import Ablation

ROW, FRAME = 0.17, 0.55  # inches: height of a value's row for each series, and of a panel's title and axis
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # of series, in their order


def points(ablation: Ablation, rows: pd.DataFrame, stat: str) -> Figure:
    """Draw what each value reached. rows: of ablations.rows(). stat: --stat."""
    panels = {key: own for key, own in rows.groupby(["task", "panel"], sort=False)}
    series = list(dict.fromkeys(rows.series))
    colors = dict(zip(series, COLORS, strict=False))
    heights = [ROW * own.value.nunique() * (0.4 + 0.6 * own.series.nunique()) + 0.1 for own in panels.values()]
    legend = len(series) > 1
    figure = style.blank(sum(heights) + FRAME * len(panels) + (0.6 if legend else 0.35))
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for each, ((task, panel), own) in zip(axes, panels.items(), strict=True):
        style.decorate(each)
        _panel(each, own, [value for value in ablation.values if value in set(own.value)], colors)
        each.set_title(style.title(str(task)), fontsize=8.5, color=style.INK, loc="left", fontweight="bold")
        each.set_xlabel(str(panel), fontsize=7.5, color=style.INK)
    _explain(figure, colors if legend else {}, stat)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, values: Sequence[str], colors: Mapping[str, str]) -> None:
    """Draw a point with its interval for each value and series, and a mark for each seed."""
    series = list(dict.fromkeys(rows.series))
    place: dict[str, Any] = {"y": "value", "hue": "series", "order": values, "hue_order": series, "ax": axes,
                             "palette": {name: colors[name] for name in series}, "legend": False}  # fmt: skip
    apart = 0.8 - 0.8 / len(series)  # as seaborn spreads the marks of several series
    many = rows[rows.seeds > 1]
    seeds = many.assign(number=many.by_seed.str.split()).explode("number", ignore_index=True).astype({"number": float})
    sns.stripplot(seeds, x="number", **place, dodge=True, jitter=False, marker="|", size=6, linewidth=0.8, alpha=0.6, zorder=2,
                  clip_on=False)  # fmt: skip
    known = rows[rows.center.notna()]
    ends = known.assign(low=known.low.fillna(known.center), high=known.high.fillna(known.center)).rename(columns={"value": "of"})
    drawn = style.given(ends[["of", "series", "center", "low", "high"]], "center", "low", "high").rename(
        columns={"value": "number", "of": "value"}
    )
    if len(drawn):
        sns.pointplot(drawn, x="number", **place, **style.GIVEN, dodge=apart or False, linestyle="none", markersize=4,
                      err_kws={"linewidth": 1.3}, capsize=0.12, zorder=3)  # fmt: skip
    axes.set(yticks=range(len(values)), yticklabels=values, ylim=(len(values) - 0.5, -0.5), ylabel="")
    axes.margins(x=0.06)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _explain(figure: Figure, colors: Mapping[str, str], stat: str) -> None:
    """Say what points and marks are. colors: of the series that the legend names."""
    interval = "IQM over seeds, 95 % interval" if stat == "iqm" else "mean over seeds, population std"
    handles = [Line2D([], [], color=color, marker="o", ms=4, ls="", label=name) for name, color in colors.items()]
    handles.append(Line2D([], [], color=style.INK, marker="|", ms=5, ls="", label="each seed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5, title_fontsize=7.5, frameon=False,
                  labelcolor=style.INK, handlelength=1.2, columnspacing=1.2, labelspacing=0.35, title=interval)  # fmt: skip
