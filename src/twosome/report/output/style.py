"""Colours, names, panels and axes of figures: one colour per method in all figures, text for a column's width."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from twosome.report.data.run import ABLATION

WIDTH, PANEL = 3.3, 2.15  # inches: a column, the height of a panel in it
LEGEND_SIZE, LEGEND = 7.5, 168  # points: the size of a legend's text, and the room of two labels beside each other
INK, GRID = "#333a45", "#e4e7ec"

matplotlib.rcParams["text.parse_math"] = False  # a dollar sign in the name of a task is one

# Okabe and Ito's colours, which people with any of the common colour visions tell apart, and Tol's.
COLORS = {
    "twosome-word": "#0072B2",
    "twosome-token": "#E69F00",
    "twosome-none": "#D55E00",
    "ppo": "#009E73",
    "saycan-oracle": "#CC79A7",
    "saycan-value": "#56B4E9",
    "saycan-none": "#882255",
    "random": "#7f7f7f",
    "optimal": "#000000",
}
OTHERS = ("#332288", "#999933", "#44AA99", "#AA4499", "#661100", "#117733", "#CC6677", "#88CCEE", "#DDCC77")
"""Of methods that are not named above."""
DASHES = {"saycan-oracle": (5, 1.5), "saycan-value": (3, 1, 1, 1), "saycan-none": (4, 1, 1, 1, 1, 1), "random": (1, 1)}
LABELS = {
    "twosome-word": "TWOSOME, word",
    "twosome-token": "TWOSOME, token",
    "twosome-none": "TWOSOME, no norm",
    "ppo": "PPO from scratch",
    "ppo-film_lstm": "PPO from scratch, with memory",
    "saycan-oracle": "SayCan, oracle",
    "saycan-value": "SayCan, value",
    "saycan-none": "not finetuned",
    "glam-none": "GLAM",
    "NPAE": "NPAE",
    "drrn": "DRRN",
    "bc-word": "cloning, word",
    "bc-none": "cloning, no norm",
    "random": "random",
    "optimal": "optimum",
}


def color(method: str, methods: Sequence[str]) -> str:
    """Return a method's colour. methods: of all figures; those without a colour above get one of OTHERS, in their order."""
    new = [each for each in dict.fromkeys(methods) if each not in COLORS]
    return COLORS.get(method) or OTHERS[new.index(method) % len(OTHERS)]


def label(method: str) -> str:
    """Return a method's name for people."""
    return LABELS.get(method, method.removeprefix(ABLATION).replace("/", " ") if method.startswith(ABLATION) else method)


def order(methods: Sequence[str]) -> list[str]:
    """Sort methods for legends and tables: those with a colour above first, in that order, then the others as they were."""
    known = list(COLORS)
    return sorted(methods, key=lambda method: known.index(method) if method in known else len(known))


def legend_columns(handles: Sequence[Artist]) -> int:
    """Return 2 if the labels have room in two columns of a legend, otherwise 1."""
    widths = [max(map(_width, str(handle.get_label()).splitlines())) for handle in handles]
    half = -(-len(handles) // 2)
    return 2 if max(widths[:half], default=0) + max(widths[half:], default=0) <= LEGEND else 1


def _width(line: str) -> float:
    """Return the width of a line in a legend, in points."""
    return float(TextPath((0, 0), line, size=LEGEND_SIZE).get_extents().width)


def title(task: str) -> str:
    """Return a task's name for people."""
    return task.replace("_", " ").capitalize()


def given(rows: pd.DataFrame, center: str, low: str, high: str) -> pd.DataFrame:
    """Put an estimate and the ends of its interval below each other, as the column "value", for seaborn with GIVEN."""
    others = [name for name in rows if name not in (center, low, high)]
    return rows.melt(others, [center, low, high])


GIVEN: dict[str, Any] = {"estimator": lambda values: values.iloc[0], "errorbar": lambda values: tuple(values.iloc[1:3])}
"""Arguments with which seaborn draws the estimate and the interval of given(), and computes none.

They go by the order of the rows: lineplot needs sort=False.
"""


def panels(number: int, legend_rows: int) -> tuple[Figure, list[Axes]]:
    """Make a column of panels, with room for a legend of so many rows below."""
    figure = blank(number * PANEL + 0.17 * legend_rows + 0.15)
    axes = list(figure.subplots(number, 1, squeeze=False)[:, 0])
    for each in axes:
        decorate(each)
    return figure, axes


def blank(height: float) -> Figure:
    """Make a figure of a column's width. height: in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def decorate(axes: Axes) -> None:
    """Give axes thin lines, a light grid and readable text."""
    axes.tick_params(labelsize=7.5, colors=INK, length=2.5, width=0.6)
    axes.grid(color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set(color=INK, linewidth=0.6)


def logarithmic(axes: Axes, start: float, end: float) -> None:
    """Make the x-axis of decorated axes logarithmic, with labels at 1, 2, 5, 10, ... or, of long ones, at powers of ten."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if end < 300 * start else (1.0,), numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.xaxis.set_minor_locator(LogLocator(subs="auto", numticks=20))
    axes.xaxis.set_minor_formatter(NullFormatter())


def thousands(value: float, position: int | None = None) -> str:
    """Show 12000 as 12k."""
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
