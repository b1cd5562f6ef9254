"""Tables of one run: its training episodes in bins, its evaluations, and what its language model still knows.

An episode counts where it began. The policy of an environment step plays every episode that begins there, so the episodes that
begin in a bin are an unbiased sample of its return, however long they are. Of those that end in a bin, the short ones are too
many near the run's beginning, and the long ones where environments that began together run into their time limit together.

Floats keep six significant digits, so that what is drawn from published tables equals what is drawn from the folders.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

BIN = 256
"""Environment steps in a bin; a bin's step is its end: bin 256 has the episodes whose first decision is in steps 1 to 256."""
EVALUATED = "evaluated"
"""Column that says when src/evaluate.py added a record to the finished run; empty in the run's own records."""
COUNTED = ("own", "latest")
"""Values of --evaluations. own: the run's own record; without one, the record with the most episodes or items, of equal ones the
latest. latest: the latest record, whoever made it."""
QUESTIONS = "drift"  # the task of the drift probe's own questions, among benchmarks

PROGRESS = ("optimizer_steps", "seconds")
KEY = ("when", "env", "task", "prompt", "options", "mode")
DRIFTS = ("kl", "perplexity_ratio", "top1_agreement")
COLUMNS: dict[str, dict[str, type]] = {
    "bins": {"step": int, "episodes": int, "return_sum": float, "successes": int, **dict.fromkeys(PROGRESS, float)},
    "evaluations": {
        **dict.fromkeys(KEY, str),
        **{"seed": int, "episodes": int, "success_rate": float, "return_mean": float, "return_std": float},
        **{"decisions_mean": float, "primitive_steps_mean": float, "optimum": float, EVALUATED: str},
    },
    "accuracies": {
        **{"task": str, "metric": str, "items": int},
        **dict.fromkeys(("before", "after", "difference", "low", "high"), float),
        **{"lost": int, "gained": int, "p_value": float, "no_loss_above": float},
        **{"lm_eval": str, "data": str, "outcomes": str, EVALUATED: str},
    },
    "drift": {
        "tokens": int,
        **{f"{name}{end}": float for name in DRIFTS for end in ("", "_low", "_high")},
        **{"perplexity_before": float, "perplexity_after": float, "texts": str, EVALUATED: str},
    },
    "forgetting": {
        **{"update": int, "env_steps": int, "return": float, "success_rate": float, "kl": float, "perplexity_ratio": float},
        **{"top1_agreement": float, "acc": float, "acc_norm": float},
    },
}
"""Columns of a run's tables, with their types. KEY says what was evaluated, and how; PROGRESS what was spent by a bin's end."""


def table(rows: Any, columns: Mapping[str, type]) -> pd.DataFrame:
    """Make a table of these columns and types, with floats rounded. rows: mappings, or a table; text that is missing is empty."""
    given = pd.DataFrame(rows, columns=list(columns), dtype=object)
    texts = {name: given[name].map(lambda text: "" if pd.isna(text) else text) for name, kind in columns.items() if kind is str}
    floats = {name: given[name].astype(float).map(rounded) for name, kind in columns.items() if kind is float}
    return given.assign(**texts, **floats).astype(columns)


def rounded(value: float) -> float:
    """Round to six significant digits."""
    return float(f"{value:.6g}")


def num_envs(config: Mapping[str, Any]) -> int:
    """Return how many environments stepped together."""
    return int(config["algorithm"]["num_envs"])


def beginnings(episodes: pd.DataFrame, envs: int) -> tuple[pd.Series, int]:
    """Return the environment steps at which episodes began, and the step up to which every episode that began has ended.

    The latter is 0 while one of the environments has not ended an episode. episodes: columns env_step, env and decisions. envs:
    environments that stepped together, so that an episode of n decisions took n * envs environment steps.
    """
    last = episodes.groupby("env").env_step.max()
    return episodes.env_step - episodes.decisions * envs, int(last.min()) if len(last) == envs else 0


def read_training(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Read metrics.csv and episodes.csv of a run's folder; return steps, optimizer_steps, seconds, covered and bins of a Run.

    Every episode that began before the steps that are covered has ended: the first of the unfinished episodes begins there. Later
    ones do not count, since only the short ones of them have ended.
    """
    progress = pd.DataFrame(0.0, index=[0], columns=["env_steps", *PROGRESS])
    if (folder / "metrics.csv").exists():
        metrics = pd.read_csv(folder / "metrics.csv")
        seconds = (metrics.rollout_seconds + metrics.update_seconds).cumsum()
        spent = metrics[["env_steps", "optimizer_steps"]].assign(seconds=seconds)
        progress = pd.concat([progress, spent], ignore_index=True).astype(float)
    last = progress.iloc[-1]
    covered, bins = 0, table([], COLUMNS["bins"])
    if (folder / "episodes.csv").exists():
        episodes = pd.read_csv(folder / "episodes.csv")
        began, ended = beginnings(episodes, num_envs(config))
        covered = min(ended, int(last.env_steps))
        number = covered // BIN
        whole = (began // BIN) < number
        at, counted, steps = (began // BIN)[whole], episodes[whole], (np.arange(number) + 1) * BIN
        sums: dict[str, Any] = {
            "step": steps,
            "episodes": np.bincount(at, minlength=number),
            "return_sum": np.bincount(at, counted.discounted_return, minlength=number),
            "successes": np.bincount(at, counted.success, minlength=number),
        }
        paces = {name: np.interp(steps, progress.env_steps, progress[name]) for name in PROGRESS}
        bins = table(sums | paces, COLUMNS["bins"])
    totals = {"steps": int(last.env_steps), "optimizer_steps": float(last.optimizer_steps), "seconds": rounded(last.seconds)}
    return totals | {"covered": covered, "bins": bins}


def read_evaluations(folder: Path) -> pd.DataFrame:
    """Read evaluation.json of a run's folder; options are JSON."""
    file = folder / "evaluation.json"
    records = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    for record in records:
        record["options"] = json.dumps(record["options"], sort_keys=True)
        record[EVALUATED] = record.get(EVALUATED, {}).get("at")
    return table(records, COLUMNS["evaluations"])


def read_retained(folder: Path) -> dict[str, pd.DataFrame]:
    """Read retention.json and retention.csv of a run's folder; return accuracies, drift and forgetting of a Run."""
    file, probes = folder / "retention.json", folder / "retention.csv"
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    asked: dict[str, list[Any]] = {"accuracies": [], "drift": []}
    for part in (content, *content.get("later", [])):  # what the run wrote itself, then what was added
        added = {EVALUATED: part.get(EVALUATED, {}).get("at")}
        benchmarks = dict(part.get("benchmarks", {}))
        if probe := part.get("drift"):
            questions = {"data": probe["texts"], "metrics": {metric: probe[metric] for metric in ("acc", "acc_norm")}}
            benchmarks = {QUESTIONS: questions} | benchmarks
            ends = {name: _ends(probe[f"{name}_interval"], f"{name}_") for name in DRIFTS}
            perplexity = {f"perplexity_{when}": value for when, value in probe["perplexity"].items()}
            asked["drift"].append(
                {**probe, **perplexity, **ends["kl"], **ends["perplexity_ratio"], **ends["top1_agreement"], **added}
            )
        for task, entry in benchmarks.items():
            for metric, paired in entry["metrics"].items():
                origin = {"task": task, "metric": metric, **_ends(paired["interval"])}
                asked["accuracies"].append({**entry, **paired, **origin, **added})
    tables = {name: table(rows, COLUMNS[name]) for name, rows in asked.items()}
    return tables | {"forgetting": table(pd.read_csv(probes) if probes.exists() else [], COLUMNS["forgetting"])}


def _ends(interval: Sequence[float], name: str = "") -> dict[str, float]:
    return {f"{name}low": interval[0], f"{name}high": interval[1]}


def counted(records: pd.DataFrame, key: Sequence[str], size: str, which: str) -> pd.DataFrame:
    """Select the record that counts for each value of the columns key, in the order in which the values first appear.

    size: the column with the number of episodes or items. which: one of COUNTED.
    """
    best: dict[tuple[Any, ...], tuple[tuple[Any, ...], int]] = {}
    for position, row in enumerate(records.to_dict("records")):
        time = row[EVALUATED]
        rank = (time,) if which == "latest" else (not time, row[size] if time else 0, time)
        value = tuple(row[name] for name in key)
        if value not in best or rank >= best[value][0]:
            best[value] = rank, position
    return records.iloc[[position for _, position in best.values()]].reset_index(drop=True)
