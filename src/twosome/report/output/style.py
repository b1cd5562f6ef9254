"""Colours, names, panels and axes of figures: one colour per method in all figures, text for a column's width."""

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

WIDTH, PANEL = 3.3, 2.15  # inches: a column, the height of a panel in it
INK, GRID = "#333a45", "#e4e7ec"

matplotlib.rcParams["text.parse_math"] = False  # a dollar sign in the name of a task is one

# Okabe and Ito's colours, which people with any of the common colour visions tell apart, and two of Tol's.
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
OTHERS = ("#332288", "#999933", "#44AA99", "#AA4499", "#661100", "#117733")  # of methods that are not named above
DASHES = {
    "saycan-oracle": (0, (5, 1.5)),
    "saycan-value": (0, (3, 1, 1, 1)),
    "saycan-none": (0, (4, 1, 1, 1, 1, 1)),
    "random": (0, (1, 1)),
}
LABELS = {
    "twosome-word": "TWOSOME, word",
    "twosome-token": "TWOSOME, token",
    "twosome-none": "TWOSOME, no norm",
    "ppo": "PPO from scratch",
    "saycan-oracle": "SayCan, oracle",
    "saycan-value": "SayCan, value",
    "saycan-none": "not finetuned",
    "random": "random",
    "optimal": "optimum",
}


def color(method: str, methods: Sequence[str]) -> str:
    """Return a method's colour. methods: of all figures; those without a colour above get one of OTHERS, in their order."""
    new = sorted(set(methods) - set(COLORS))
    return COLORS.get(method) or OTHERS[new.index(method) % len(OTHERS)]


def label(method: str) -> str:
    """Return a method's name for people."""
    return LABELS.get(method, method)


def order(methods: Sequence[str]) -> list[str]:
    """Sort methods for legends and tables: those with a colour above first, in that order."""
    known = list(COLORS)
    return sorted(methods, key=lambda method: (known.index(method) if method in known else len(known), method))


def title(task: str) -> str:
    """Return a task's name for people."""
    return task.replace("_", " ").capitalize()


def panels(number: int, legend_rows: int) -> tuple[Figure, list[Axes]]:
    """Make a column of panels, with room for a legend of so many rows below."""
    figure = Figure(figsize=(WIDTH, number * PANEL + 0.17 * legend_rows + 0.15), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(number, 1, squeeze=False)[:, 0])
    for each in axes:
        decorate(each)
    return figure, axes


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


def thousands(value: float, position: int | None = None) -> str:
    """Show 12000 as 12k."""
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
