"""Success on tasks that agents were not trained on: the records of src/evaluate.py with suite=unseen and suite=cross."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from twosome.errors import UserError
from twosome.report.data.run import Run
from twosome.report.statistics.estimates import wilson

WHEN = {"random": "random", "before": "untrained", "after": "trained"}
"""Who plays: its name in records, and its name in figures."""
PLAYED = ("env", "task", "own", "when", "episodes", "success_rate", "return_mean", "return_std", "decisions_mean")


def played(run: Run, mode: str = "sampled") -> pd.DataFrame:
    """Return the run's evaluations that count, a row per task and player, columns PLAYED. own: whether the task was trained on.

    mode: "sampled" or "greedy". Evaluations with another prompt or other options than in training are left out. Of several the
    last counts.
    """
    table, env = run.counted_evaluations, run.config["env"]
    same = table.env == env["id"]
    prompt = np.where(same, env.get("prompt") or "", "default")
    own = same & (table.task == (env.get("task") or ""))
    chosen = (table["mode"] == mode) & (table.options == "{}") & (table.prompt == prompt) & table.when.isin(list(WHEN))
    found = table.assign(own=own)[chosen][list(PLAYED)]
    return found.drop_duplicates(["env", "task", "when"], keep="last", ignore_index=True)


def pooled(runs: Sequence[Run], mode: str = "sampled") -> pd.DataFrame:
    """Pool the success of runs that differ only in the seed: a row per task and player, the tasks in the order of the records.

    rate, low, high: of all their episodes, with the 95 % Wilson interval. Random play and the untrained model do not depend on
    the seed: equal results of several runs are one evaluation, whose episodes count once. by_seed: each run's rate. gain,
    gain_low, gain_high: the trained agent's rate less the untrained one's, mean and range over runs. The task that was trained
    on has a row where all runs have a record of it. Raises UserError where a run lacks another record.
    """
    tables = [played(run, mode) for run in runs]
    tasks = pd.concat(tables)[["env", "task", "own"]].drop_duplicates()
    rows = []
    for env, task, own in tasks.itertuples(index=False):
        found = {when: [_of(table, env, task, when) for table in tables] for when in WHEN}
        if not own:
            for when, records in found.items():
                _check_there(runs, records, task, when, "unseen" if env == runs[0].config["env"]["id"] else "cross", mode)
        there = {when: [record for record in records if record] for when, records in found.items()}
        complete = {when: records for when, records in there.items() if len(records) == len(runs)}
        rows += [{"env": env, "task": task, "own": own, **_row(when, complete)} for when in complete]
    return pd.DataFrame(rows)


def _of(table: pd.DataFrame, env: str, task: str, when: str) -> dict[str, Any] | None:
    row = table[(table.env == env) & (table.task == task) & (table.when == when)]
    return {str(name): value for name, value in row.iloc[-1].items()} if len(row) else None


def _check_there(runs: Sequence[Run], records: Sequence[Any], task: str, when: str, suite: str, mode: str) -> None:
    for run, record in zip(runs, records, strict=True):
        if record is None:
            raise UserError(
                f"{run.source}: expected {run.name} to have a {mode} evaluation on {task} by the {WHEN[when]} policy, as other "
                f"records call for, found none; make it with python src/evaluate.py run=<the run's folder> suite={suite}"
            )


def _row(when: str, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the numbers of one player on one task."""
    counted = list(found[when]) if when == "after" else list({tuple(record.values()): record for record in found[when]}.values())
    episodes = sum(int(record["episodes"]) for record in counted)
    successes = sum(round(record["success_rate"] * record["episodes"]) for record in counted)
    interval = wilson(successes, episodes)
    rates = np.array([record["success_rate"] for record in found[when]])
    row = {"when": when, "seeds": len(rates), "episodes": episodes, "successes": successes}
    row |= {"rate": float(interval.center), "low": float(interval.low), "high": float(interval.high)}
    row |= {"seed_low": rates.min(), "seed_high": rates.max(), "by_seed": " ".join(f"{rate:.6g}" for rate in rates)}
    if when == "after" and "before" in found:
        gains = rates - np.array([record["success_rate"] for record in found["before"]])
        row |= {"gain": gains.mean(), "gain_low": gains.min(), "gain_high": gains.max()}
    return row
