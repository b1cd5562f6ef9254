"""A run as the figures see it, the same from a run's folder and from published tables.

Training episodes are binned by environment steps as soon as they are read, and floats keep six significant digits, so that
what is drawn from published tables equals what is drawn from the folders.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import counting
import retained
from commands import AnalysisError
from retained import Retained

BIN = 256
"""Environment steps in a bin; a bin's step is its end, so that bin 256 holds the episodes that ended in steps 1 to 256."""

SETTING = ("env", "norm", "baseline", "model", "ppo", "total_steps")
"""Entries of the configuration that say what is computed, besides the seed."""
INCIDENTAL = ("model.seed", "model.device", "model.attn_implementation", "model.packed_weights", "baseline.engine.")
"""Options that say how something is computed, not what."""

BINS = {"step": int, "episodes": int, "return_sum": float, "successes": int}
KEY = ("when", "env", "task", "prompt", "options", "mode")
"""Columns that say what was evaluated, and how."""
EVALUATIONS = {
    **dict.fromkeys(KEY, str),
    **dict.fromkeys(("seed", "episodes"), int),
    **dict.fromkeys(("success_rate", "return_mean", "return_std", "decisions_mean", "primitive_steps_mean", "optimum"), float),
    counting.EVALUATED: str,
}


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    source: the run's folder, or the folder of published tables. config, choices, provenance: the folder's files.
    finished: whether it was. steps: environment steps that it trained for, 0 for a policy that is only evaluated.
    seconds: time that these took. bins: a row per bin in which an episode ended, columns BINS. evaluations: columns EVALUATIONS,
    options as JSON. retained: what the language model still knows. which: of several evaluations counts (counting.CHOICES).
    """

    source: Path
    config: dict[str, Any]
    choices: dict[str, Any]
    provenance: dict[str, Any]
    finished: bool
    steps: int
    seconds: float
    bins: pd.DataFrame
    evaluations: pd.DataFrame
    retained: Retained = field(default_factory=Retained)
    which: str = counting.CHOICES[0]

    @property
    def seed(self) -> int:
        """Of everything random in the run."""
        return int(self.config["seed"])

    @property
    def task(self) -> str:
        """What was to be done, worded otherwise than by default where that is so; one panel or block of rows each."""
        env = self.config["env"]
        prompt = env.get("prompt") or "default"
        return str(env.get("task") or self.choices["env"]) + ("" if prompt == "default" else f" ({prompt})")

    @property
    def model(self) -> str:
        """The language model's name; empty where none was used."""
        return str(self.provenance.get("model") or "")

    @property
    def method(self) -> str:
        """The baseline's name and what distinguishes its variants.

        That are the options of the baseline that are a choice in a group of the same name (conf/affordance, say) or else a word;
        where there is none and a language model acts, the norm.
        """
        options = {name: value for name, value in self.config["baseline"].items() if name != "_target_"}
        chosen = {name: self.choices.get(name, value) for name, value in options.items()}
        variant = [choice for choice in chosen.values() if isinstance(choice, str)]
        if not variant and self.model:
            variant = [str(self.choices["norm"])]
        return "-".join([str(self.choices["baseline"]), *variant])

    @property
    def name(self) -> str:
        """Names the run among those of one figure."""
        return f"{self.task}/{self.method}/{self.seed}".replace(" ", "_")

    @property
    def setting(self) -> dict[str, Any]:
        """The options that runs of one method must share, by dotted name; without what the method does not use."""
        unused = [*([] if self.model else ["norm", "model"]), *([] if self.steps else ["ppo", "total_steps"])]
        own = {group: self.config.get(group) for group in SETTING if group not in unused}
        return {name: value for name, value in leaves(own) if not name.startswith(INCIDENTAL)}

    @cached_property
    def counted_evaluations(self) -> pd.DataFrame:
        """Of evaluations, those that count: one for each player, setting and mode."""
        return counting.counted(self.evaluations, KEY, "episodes", self.which)

    @cached_property
    def counted_retained(self) -> Retained:
        """Of retained, what counts: one row for each benchmark and metric, and one drift."""
        return self.retained.counted(self.which)

    def evaluation(self, when: str, mode: str) -> dict[str, Any] | None:
        """The record that counts of the run's own task, prompt and options; None where there is none.

        when: "before" or "after" training. mode: "sampled" or "greedy".
        """
        env, table = self.config["env"], self.counted_evaluations
        own = (table.env == env["id"]) & (table.task == (env.get("task") or "")) & (table.options == "{}")
        own &= (table.prompt == (env.get("prompt") or "")) & (table.when == when) & (table["mode"] == mode)
        return table[own].iloc[-1].to_dict() if own.any() else None

    @property
    def optimum(self) -> float:
        """The best discounted return of the run's task; nan where no evaluation states it."""
        records = [self.evaluation(when, mode) for when in ("after", "before") for mode in ("sampled", "greedy")]
        return next((record["optimum"] for record in records if record), math.nan)


def read_folder(folder: Path) -> Run:
    """The run of a run's folder; raises AnalysisError where the folder is not of this version's format."""
    config = _parsed(folder / "config.yaml", yaml.safe_load, dict)
    choices = _parsed(folder / "choices.json", json.loads, dict)
    for group in ("env", "norm", "baseline", "model", "seed"):
        if group not in config:
            raise AnalysisError(f"{folder / 'config.yaml'}: expected an entry {group}; it is of another version, run it again")
    steps, seconds = 0, 0.0
    if (folder / "metrics.csv").exists():
        metrics = _csv(folder / "metrics.csv", {"env_steps": int, "rollout_seconds": float, "update_seconds": float})
        steps, seconds = (
            int(metrics.env_steps.max()) if len(metrics) else 0,
            float(metrics.rollout_seconds.sum() + metrics.update_seconds.sum()),
        )
    elif not (folder / "evaluation.json").exists():
        raise AnalysisError(f"{folder}: expected a metrics.csv or an evaluation.json, found neither; run it again")
    return Run(
        source=folder,
        config=config,
        choices=choices,
        provenance=_parsed(folder / "provenance.json", json.loads, dict),
        finished=(folder / "DONE").exists(),
        steps=steps,
        seconds=significant(seconds),
        bins=_bins(folder),
        evaluations=_evaluations(folder),
        retained=_retained(folder),
    )


def _retained(folder: Path) -> Retained:
    """What retention.json and retention.csv of a folder hold."""
    tables = {}
    if (folder / "retention.json").exists():
        tables = retained.tables(_parsed(folder / "retention.json", json.loads, dict), folder / "retention.json")
    if (folder / "retention.csv").exists():
        probes = _csv(folder / "retention.csv", retained.FORGETTING)
        tables["forgetting"] = probes.map(lambda value: significant(value) if isinstance(value, float) else value)
    return Retained(**tables)


def _bins(folder: Path) -> pd.DataFrame:
    """The training episodes of a folder, binned."""
    if not (folder / "episodes.csv").exists():  # nothing was trained, or no episode has ended
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in BINS.items()})
    episodes = _csv(folder / "episodes.csv", {"env_step": int, "discounted_return": float, "success": bool})
    step = -(-episodes.env_step // BIN) * BIN
    binned = episodes.groupby(step.rename("step")).agg(
        episodes=("success", "size"), return_sum=("discounted_return", "sum"), successes=("success", "sum")
    )
    binned["return_sum"] = binned.return_sum.map(significant)
    return binned.reset_index().astype(BINS)


def _evaluations(folder: Path) -> pd.DataFrame:
    """The records of a folder's evaluation.json."""
    records = _parsed(folder / "evaluation.json", json.loads, list) if (folder / "evaluation.json").exists() else []
    rows = []
    for record in records:
        if missing := [name for name in EVALUATIONS if name not in {"options", "optimum", counting.EVALUATED, *record}]:
            raise AnalysisError(f"{folder / 'evaluation.json'}: expected {missing[0]} in each record; evaluate the run again")
        try:
            told = record | {counting.EVALUATED: counting.at(record)}
        except (KeyError, TypeError):
            raise AnalysisError(
                f"{folder / 'evaluation.json'}: expected a time, {counting.EVALUATED}.at, in each record that has an entry "
                f"{counting.EVALUATED}; evaluate the run again"
            ) from None
        rows.append({name: _value(told.get(name), kind) for name, kind in EVALUATIONS.items()})
    return pd.DataFrame(rows, columns=list(EVALUATIONS)).astype(EVALUATIONS)


def _value(value: Any, kind: type) -> Any:
    if isinstance(value, dict) or (value is None and kind is not float):
        return json.dumps(value, sort_keys=True) if value is not None else ""
    return math.nan if value is None else significant(value) if kind is float else value


def _parsed(file: Path, parse: Any, kind: type) -> Any:
    """A YAML or JSON file's content, a mapping or a list."""
    try:
        content = parse(file.read_text())
        if not isinstance(content, kind):
            raise ValueError(f"it holds no {kind.__name__}")
        return content
    except OSError:
        raise AnalysisError(f"{file}: not there; expected the folder that src/run.py wrote; run it again") from None
    except (ValueError, yaml.YAMLError) as error:
        raise AnalysisError(f"{file}: expected a readable file ({' '.join(str(error).split())}); run it again") from None


def _csv(file: Path, columns: dict[str, type]) -> pd.DataFrame:
    """These columns of a run's table."""
    try:
        table = pd.read_csv(file)
        missing = [name for name in columns if name not in table]
        if missing:
            raise AnalysisError(f"{file}: expected a column {missing[0]}; the run is of another version, run it again")
        return table[list(columns)].astype(columns)
    except (ValueError, pd.errors.ParserError, OSError) as error:
        if isinstance(error, AnalysisError):
            raise
        raise AnalysisError(f"{file}: expected numbers ({' '.join(str(error).split())}); run it again") from None


def significant(value: float) -> float:
    """Rounded to six significant digits."""
    return float(f"{value:.6g}")


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested dictionaries, named by dotted paths."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree
