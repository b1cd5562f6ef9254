"""The picture of one run's learning curve. The paper's figures are drawn in analysis/ from many runs."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from omegaconf import DictConfig, OmegaConf

from twosome.files import write_atomic
from twosome.identity import AGENT, task_of
from twosome.report.records import beginnings, num_envs
from twosome.storage.folder import RunFolder

# Okabe and Ito's colours, which are distinguishable with all common forms of colour blindness.
RETURN, SUCCESS, OPTIMUM, INK, GRID = "#0072B2", "#009E73", "#D55E00", "#3b4252", "#e4e7ec"
INCHES, DPI = (3.6, 3.3), 220
WINDOWS = 20  # a run's length over the length of the mean's window
WINDOW_EPISODES = 20  # the window is longer if it would have fewer episodes on average
POINTS = 400  # number of points at which the mean is computed


def learning_curve(folder: RunFolder, config: DictConfig, path: Path, optimum: float | None = None, actor: str = AGENT) -> None:
    """Draw the discounted return and the success rate of a run's training episodes where they began, as a PNG.

    The curve ends where the first unfinished episode began (`report.records`).
    folder: the run's, of which episodes.csv is read. config: the run's configuration. path: of the PNG. optimum: the
    environment's optimal discounted return, if known. actor: who acts in training (`Algorithm.actor`); the title names others
    than the agent. Without an episode to draw the picture says so.
    """
    episodes = read_episodes(folder, num_envs(OmegaConf.to_container(config)))  # type: ignore[arg-type]
    steps = int(max(config.total_steps, episodes.began.max() if len(episodes) else 0))
    window = min(max(1, steps), max(1, steps // WINDOWS, WINDOW_EPISODES * steps // max(1, len(episodes))))
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.6, 1))
    whose = "" if actor == AGENT else f"; episodes of the {actor}"
    title = f"{task_of(config.env).replace('_', ' ')}, seed {config.seed}{whose}"
    upper.set_title(title, fontsize=8.5, color=INK, loc="left", fontweight="bold")
    for axes, label in ((upper, "discounted return"), (lower, "success rate")):
        axes.set_ylabel(label, fontsize=7.5, color=INK)
        axes.tick_params(labelsize=7, colors=INK, length=2.5, width=0.6)
        axes.grid(color=GRID, lw=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set(color=INK, linewidth=0.6)
    lower.set_xlabel(f"environment steps at episodes' start; mean of the last {window:,}", fontsize=7, color=INK)
    lower.set(xlim=(0, steps), ylim=(-0.06, 1.06), yticks=(0, 0.5, 1))
    lower.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    lower.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"))
    if optimum is not None:
        upper.axhline(optimum, color=OPTIMUM, lw=1, ls=(0, (4, 2.5)), zorder=1)
        upper.annotate(f"optimum {optimum:.3f}", (0.99, optimum), (0, 2), xycoords=("axes fraction", "data"),
                       textcoords="offset points", color=OPTIMUM, fontsize=7, ha="right", va="bottom")  # fmt: skip
    if len(episodes):
        began, alpha = episodes.began.to_numpy(int), float(np.clip(100 / len(episodes), 0.12, 0.4))  # many dots are transparent
        returns, success = episodes.discounted_return.to_numpy(float), episodes.success.to_numpy(float)
        upper.scatter(began, returns, s=5, color=RETURN, alpha=alpha, linewidths=0, rasterized=True)
        upper.plot(*running_mean(began, returns, window), color=RETURN, lw=1.6, solid_capstyle="round")
        lower.plot(*running_mean(began, success, window), color=SUCCESS, lw=1.6, solid_capstyle="round", clip_on=False)
    else:
        message = "not every environment has ended an episode yet"
        upper.text(0.5, 0.45, message, transform=upper.transAxes, ha="center", fontsize=8, color=INK)
    if optimum is not None:  # room for its label
        low, high = upper.get_ylim()
        upper.set_ylim(low, max(high, optimum + 0.11 * (optimum - low)))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_atomic(path, buffer.getvalue())


def read_episodes(folder: RunFolder, envs: int) -> pd.DataFrame:
    """Return the episodes to draw in the order in which they began: columns began, discounted_return and success.

    envs: environments that step together. There are none without the file episodes.csv.
    """
    file = folder.path / "episodes.csv"
    types = {"env_step": float, "env": int, "decisions": int, "discounted_return": float, "success": bool}
    found = pd.read_csv(file, usecols=list(types), dtype=types) if file.exists() else pd.DataFrame(columns=list(types))
    began, covered = beginnings(found, envs)
    drawn = found.assign(began=began)[["began", "discounted_return", "success"]][began < covered]
    return drawn.sort_values("began", kind="stable")


def running_mean(steps: np.ndarray, values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the values of the last window steps, at up to POINTS steps.

    steps: (n,) ascending. values: (n,). Returns the steps (m,) and the means (m,); steps without a value in their window are
    omitted.
    """
    at = np.unique(np.linspace(steps[0], steps[-1], POINTS).astype(int))
    first, last = np.searchsorted(steps, at - window, side="right"), np.searchsorted(steps, at, side="right")
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
    some = last > first
    return at[some], (sums[last] - sums[first])[some] / (last - first)[some]
