"""Bin the training episodes of a run's folder by the environment steps at which they began.

The policy of an environment step plays every episode that begins there, so the episodes that begin in a bin are an unbiased
sample of its return, however long they are. Of those that end in a bin, the short ones are too many near the run's beginning,
and the long ones where environments that began together run into their time limit together.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twosome.errors import UserError, shown
from twosome.report.data.reading import AGAIN, read_table
from twosome.report.data.run import BIN, BINS, PROGRESS
from twosome.report.data.validation import STEPS, rounded, significant

METRICS = {"env_steps": int, "optimizer_steps": float, "rollout_seconds": float, "update_seconds": float}
EPISODES = {"env_step": int, "env": int, "decisions": int, "discounted_return": float, "success": bool}


def read_progress(file: Path) -> pd.DataFrame:
    """Read a run's metrics.csv: what it had spent after each update, and before the first one.

    Columns env_steps, optimizer_steps (nan where the run did not count them) and seconds. Raises UserError.
    """
    metrics = read_table(file, METRICS, optional=("optimizer_steps",))
    for name, least in (("env_steps", 1), ("optimizer_steps", 0)):
        falls = np.flatnonzero(np.diff(metrics[name], prepend=0) < least)
        if len(falls):
            expected = f"{'more' if least else 'no less'} than in the row before"
            found = metrics[name].iloc[falls[0]]
            raise UserError(f"{file}: row {falls[0] + 1}: {name}: expected {expected}, found {found:.0f}; {AGAIN}")
    seconds = (metrics.rollout_seconds + metrics.update_seconds).cumsum()
    spent = pd.DataFrame({"env_steps": metrics.env_steps, "optimizer_steps": metrics.optimizer_steps, "seconds": seconds})
    return pd.concat([pd.DataFrame(0.0, index=[0], columns=list(spent)), spent], ignore_index=True)


def totals(progress: pd.DataFrame) -> dict[str, Any]:
    """Return steps, optimizer_steps and seconds of a whole run. progress: as read_progress returns it."""
    last = progress.iloc[-1]
    return {"steps": int(last.env_steps), "optimizer_steps": float(last.optimizer_steps), "seconds": significant(last.seconds)}


def num_envs(config: Mapping[str, Any], where: str) -> int:
    """Return how many environments stepped together: num_envs among the options of the run's algorithm.

    config: of this version. where: how an error calls its file. Raises UserError where it holds no such number.
    """
    algorithm = config.get("algorithm")
    found = algorithm.get("num_envs") if isinstance(algorithm, dict) else None
    if type(found) is not int or not 1 <= found <= STEPS:
        raise UserError(
            f"{where}: algorithm.num_envs: expected how many environments stepped together, a whole number from 1 to {STEPS}, "
            f"by which it is known where episodes began, found {shown(found)}; {AGAIN}"
        )
    return found


def beginnings(episodes: pd.DataFrame, envs: int) -> tuple[pd.Series, int]:
    """Return the environment steps at which episodes began, and the step up to which every episode that began has ended.

    The latter is 0 while one of the environments has not ended an episode. episodes: columns env_step, env and decisions. envs:
    as in read_bins.
    """
    last = episodes.groupby("env").env_step.max()
    return episodes.env_step - episodes.decisions * envs, int(last.min()) if len(last) == envs else 0


def read_bins(file: Path, envs: int, progress: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Read a run's episodes.csv; return the bins (columns BINS) and the environment steps that they cover.

    envs: environments that stepped together, so that an episode of n decisions took n * envs environment steps. Every episode
    that began before the steps that are covered has ended: the first of the unfinished episodes begins there. Later ones do not
    count, since only the short ones of them have ended. Raises UserError.
    """
    episodes = read_table(file, EPISODES)
    began, ended = beginnings(episodes, envs)
    impossible = np.flatnonzero((began < 0) | (episodes.env >= envs))
    if len(impossible):
        row = episodes.iloc[impossible[0]]
        raise UserError(
            f"{file}: row {impossible[0] + 1}: expected an episode of one of {envs} environments (num_envs) that began at step 0 "
            f"or later, found env {row.env} and {row.decisions} decisions up to step {row.env_step}; {AGAIN}"
        )
    covered = min(ended, int(progress.env_steps.iloc[-1]))
    number = covered // BIN
    places = began // BIN
    counted, at = episodes[places < number], places[places < number]

    def total(values: pd.Series | None = None) -> np.ndarray:
        return np.bincount(at, None if values is None else values.astype(float), minlength=number)

    steps = (np.arange(number) + 1) * BIN
    bins = pd.DataFrame({
        "step": steps, "episodes": total(), "return_sum": total(counted.discounted_return), "successes": total(counted.success),
        **{name: np.interp(steps, progress.env_steps, progress[name]) for name in PROGRESS},
    })  # fmt: skip
    return rounded(bins, BINS), covered
