"""Ablations: what is reached with each value of what is varied, how far that is from the usual value, and the learning curves.

The ablations are data: ablations.yaml. Files are written to the folder ablations: for each a figure and a table that begins with
what was found, and learning curves with their numbers. An ablation is drawn where runs have two of its values.

Example: python analysis/ablations.py multirun --out results
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from twosome.errors import UserError
from twosome.report import ablations, style
from twosome.report.ablations import Ablation
from twosome.report.commands import STATISTICS, Command, Given
from twosome.report.curves import draw, plotted
from twosome.report.measures import by_name
from twosome.report.statistics import STEPS, Estimator, windows

ABLATIONS = Path(__file__).with_name("ablations.yaml")
ROW, FRAME = 0.17, 0.55  # inches: height of a value's row for each series, and of a panel's title and axis
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # of series, in their order


def make_of(given: Given) -> None:
    """Write the figures and tables of runs that were read. Raises UserError where no ablation has runs of two values."""
    runs, paper, options, out = given
    found, estimator = ablations.considered(runs), Estimator.of(options)
    for ablation in ablations.read(ABLATIONS):
        groups = ablation.trained_runs(found)
        lengths = windows(groups, options.window)
        rows = ablations.rows(ablation, found, lengths, by_name(paper), estimator)
        if rows.empty:
            continue
        name = f"ablations/{ablation.name}"
        out.table(name, ablations.table(ablation, rows, options))
        out.figure(name, points(ablation, rows, options.stat))
        if ablation.curves:  # of the tasks that have two values
            groups = {task: own for task, own in groups.items() if len(own) > 1}
            numbers = pd.concat([plotted(task, own, lengths[task], STEPS, estimator, paper) for task, own in groups.items()])
            every = [(task, run) for task, own in groups.items() for each in own.values() for run in each]
            optima = {task: run.optimum for task, run in every if run.optimum == run.optimum}
            names = list(dict.fromkeys(name for own in groups.values() for name in own))
            out.csv(f"{name}_curves", numbers)
            out.figure(f"{name}_curves", draw(numbers, STEPS, optima, lengths, options.stat, names))
    if not any(name.startswith("ablations/") for name in out.tables):
        raise UserError(
            "expected runs of two values of an ablation (analysis/ablations.yaml), found none; make them with "
            "python src/run.py -m experiment=ablations"
        )


def points(ablation: Ablation, rows: pd.DataFrame, stat: str) -> Figure:
    """Draw a panel for each task and measure, in it what each value reached. rows: of ablations.rows(). stat: --stat."""
    panels = {key: own for key, own in rows.groupby(["task", "panel"], sort=False)}
    series = list(dict.fromkeys(rows.series))
    colors = dict(zip(series, COLORS, strict=False))
    heights = [ROW * own.value.nunique() * (0.4 + 0.6 * own.series.nunique()) + 0.1 for own in panels.values()]
    several = len(series) > 1
    figure, axes = style.panels(sum(heights) + FRAME * len(panels) + (0.6 if several else 0.35), heights)
    for each, ((task, panel), own) in zip(axes, panels.items(), strict=True):
        _points(each, own, [value for value in ablation.values if value in set(own.value)], colors)
        style.heading(each, style.title(str(task)))
        each.set_xlabel(str(panel), fontsize=7.5, color=style.INK)
    handles = [Line2D([], [], color=colors[name], marker="o", ms=4, ls="", label=name) for name in series if several]
    handles.append(Line2D([], [], color=style.INK, marker="|", ms=5, ls="", label="each seed"))
    style.legend(figure, handles, 1.2, "IQM over seeds, 95 % interval" if stat == "iqm" else "mean over seeds, population std")
    return figure


def _points(axes: Axes, rows: pd.DataFrame, values: Sequence[str], colors: Mapping[str, str]) -> None:
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
    style.categories(axes, values)
    axes.margins(x=0.06)


command = Command(__file__, __doc__, make_of, *STATISTICS)
main = command.main

if __name__ == "__main__":
    sys.exit(main())
