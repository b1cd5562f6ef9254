"""Look of the figures: colours and names of methods, panels, axes and legends; text for a column's width."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import yaml
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from twosome.report.output import notes
from twosome.report.records import BIN
from twosome.report.runs import ABLATION

WIDTH = 3.3  # inches: a column
TEXT, LEGEND = 7.5, 168  # points: the size of small text, and the room of two labels beside each other in a legend
INK, GRID = "#333a45", "#e4e7ec"

matplotlib.rcParams["text.parse_math"] = False  # a dollar sign in the name of a task is one

METHODS: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("methods.yaml").read_text(encoding="utf-8"))
LABELS = {name: str(entry["label"]) for name, entry in METHODS.items()}
COLORS = {name: str(entry["color"]) for name, entry in METHODS.items() if "color" in entry}
DASHES = {name: tuple(entry["dashes"]) for name, entry in METHODS.items() if "dashes" in entry}
OTHERS = ("#332288", "#999933", "#44AA99", "#AA4499", "#661100", "#117733", "#CC6677", "#88CCEE", "#DDCC77")
GIVEN: dict[str, Any] = {"estimator": lambda values: values.iloc[0], "errorbar": lambda values: tuple(values.iloc[1:3])}
"""Arguments with which seaborn draws the estimates and intervals of `given`, and computes none. lineplot needs sort=False."""


def color(method: str, methods: Sequence[str]) -> str:
    """Return a method's colour. methods: of all figures; those without one of their own get one of OTHERS in turn."""
    new = [each for each in dict.fromkeys(methods) if each not in COLORS]
    return COLORS.get(method) or OTHERS[new.index(method) % len(OTHERS)]


def label(method: str) -> str:
    """Return a method's name for people."""
    return LABELS.get(method, method.removeprefix(ABLATION).replace("/", " ") if method.startswith(ABLATION) else method)


def order(methods: Sequence[str]) -> list[str]:
    """Sort methods for legends and tables: those with a colour of their own first, then the others as they were."""
    known = list(COLORS)
    return sorted(methods, key=lambda method: known.index(method) if method in known else len(known))


def title(task: str) -> str:
    """Return a task's name for people."""
    return task.replace("_", " ").capitalize()


def window_notes(found: Mapping[str, int], asked: int) -> list[str]:
    """Return a table's note where a window is not --window."""
    return notes("window", asked=f"{asked:,}", bin=BIN) if set(found.values()) != {asked} else []


def described(found: Mapping[str, int]) -> str:
    """Name the windows, as in "the last 4,096 steps"; with their tasks where they differ."""
    values = sorted(set(found.values()), reverse=True)
    if len(values) == 1:
        return f"{values[0]:,}"
    names = {value: ", ".join(title(task).lower() for task in found if found[task] == value) for value in values}
    return " or ".join(f"{value:,} ({names[value]})" for value in values)


def thousands(value: float, position: int | None = None) -> str:
    """Show 12000 as 12k."""
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"


def given(rows: pd.DataFrame, center: str, low: str, high: str) -> pd.DataFrame:
    """Put an estimate and the ends of its interval below each other, as the column "value", for seaborn with GIVEN."""
    return rows.melt([name for name in rows if name not in (center, low, high)], [center, low, high])


def blank(height: float) -> Figure:
    """Make a figure of a column's width. height: in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def panels(height: float, ratios: Sequence[float], sharex: bool = False) -> tuple[Figure, list[Axes]]:
    """Make a figure with panels below each other. height: of the figure, in inches. ratios: of the panels' heights."""
    figure = blank(height)
    axes = list(figure.subplots(len(ratios), 1, squeeze=False, sharex=sharex, height_ratios=ratios)[:, 0])
    for each in axes:
        decorate(each)
    return figure, axes


def decorate(axes: Axes) -> None:
    """Give axes thin lines, a light grid and readable text."""
    axes.tick_params(labelsize=TEXT, colors=INK, length=2.5, width=0.6)
    axes.grid(color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set(color=INK, linewidth=0.6)


def heading(axes: Axes, text: str, loc: Any = "left") -> None:
    """Write a panel's title."""
    axes.set_title(text, fontsize=8.5, color=INK, loc=loc, fontweight="bold")


def categories(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a panel, the first one above."""
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlabel="", ylabel="")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def logarithmic(axes: Axes, start: float, end: float) -> None:
    """Make the x-axis of decorated axes logarithmic, with labels at 1, 2, 5, 10, ... or, of long ones, at powers of ten."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if end < 300 * start else (1.0,), numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.xaxis.set_minor_locator(LogLocator(subs="auto", numticks=20))
    axes.xaxis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, handles: Sequence[Artist], length: float, title: str | None = None, columns: int = 2) -> None:
    """Put a legend below the panels. length: of the handles."""
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=TEXT, title_fontsize=TEXT, frameon=False,
                  labelcolor=INK, handlelength=length, columnspacing=1.2, labelspacing=0.35, title=title)  # fmt: skip


def legend_columns(handles: Sequence[Artist]) -> int:
    """Return 2 if the labels have room in two columns of a legend, otherwise 1."""
    lines = [str(handle.get_label()).splitlines() for handle in handles]
    widths = [max(TextPath((0, 0), line, size=TEXT).get_extents().width for line in each) for each in lines]
    half = -(-len(handles) // 2)
    return 2 if max(widths[:half], default=0) + max(widths[half:], default=0) <= LEGEND else 1
