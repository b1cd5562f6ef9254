"""The figure of suite=interference: each action's change of log-probability, by kind and place."""

import io

import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from twosome.evaluation.figures import DPI, GRID, INK
from twosome.evaluation.interference import summary

LABELS = {"in_update": "in the update", "outside": "not in the update", "on_best_path": "on the best path"}
COLORS = {"in the update": "#0072B2", "not in the update": "#E69F00", "on the best path": "#009E73"}  # Okabe and Ito's
AXES = {"log_prob": "change of log P(words of the action)", "log_policy": "change of log policy(action)"}
WIDTH, ROW = 5.6, 0.42  # inches: the figure, a kind of action


def draw(rows: pd.DataFrame, measure: str, title: str) -> bytes:
    """Return a PNG of the changes of a measure: a mark per situation, a dot for the mean. Equal rows have equal bytes."""
    parts = [summary.place(rows, name).assign(place=label) for name, label in LABELS.items()]
    marks = pd.concat(parts, ignore_index=True)
    marks["change"] = summary.changes(marks, measure)
    order = summary.kinds(rows)
    figure = Figure(figsize=(WIDTH, ROW * len(order) + 1), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = {"x": "change", "y": "kind", "hue": "place", "order": order, "hue_order": list(COLORS), "palette": COLORS}
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    sns.stripplot(marks, **places, dodge=True, jitter=False, marker="|", size=6, linewidth=0.8, alpha=0.45, legend=False, ax=axes)
    sns.pointplot(
        marks, **places, dodge=0.533, errorbar=None, linestyle="none", markers="o", markersize=5,
        markeredgecolor=INK, markeredgewidth=0.8, zorder=5, ax=axes,
    )  # fmt: skip
    for each in range(1, len(order), 2):
        axes.axhspan(each - 0.5, each + 0.5, color=GRID, alpha=0.45, lw=0, zorder=0)
    axes.set_title(title, fontsize=8.5, color=INK, loc="left", fontweight="bold")
    axes.set_xlabel(f"{AXES[measure]}; a mark: one situation, a dot: the mean", fontsize=7.5, color=INK)
    axes.set(ylabel="", ylim=(len(order) - 0.5, -0.5))
    axes.tick_params(labelsize=7.5, colors=INK, length=2.5, width=0.6)
    axes.grid(axis="x", color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    sns.despine(ax=axes)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncol=len(LABELS), frameon=False, fontsize=7.5, labelcolor=INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
