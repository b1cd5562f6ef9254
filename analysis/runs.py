"""A run as the figures see it, the same from a run's folder and from published tables.

Training episodes are binned by environment steps as soon as they are read, and floats keep six significant digits, so that
what is drawn from published tables equals what is drawn from the folders.
"""

import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

import checks
import counting
import retained
from checks import rounded, significant
from commands import COUNTED, AnalysisError
from plain import parse_json, parse_yaml
from retained import Retained

BIN = 256
"""Environment steps in a bin; a bin's step is its end, so that bin 256 holds the episodes that ended in steps 1 to 256."""

SETTING = ("env", "norm", "baseline", "model", "ppo", "total_steps")
"""Entries of the configuration that say what is computed, besides the seed."""
INCIDENTAL = ("model.seed", "model.device", "model.attn_implementation", "model.packed_weights", "engine.")
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
MISSING = ("optimum",)
"""Columns of EVALUATIONS that may lack a number."""
AGAIN, EVALUATE_AGAIN = "run it again", "evaluate the run again"


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    source: the run's folder, or the folder of published tables. config, choices, provenance: the folder's files.
    finished: whether it was. steps: environment steps that it trained for, 0 for a policy that is only evaluated.
    seconds: time that these took. bins: a row per bin in which an episode ended, columns BINS. evaluations: columns EVALUATIONS,
    options as JSON. retained: what the language model still knows. which: of several evaluations counts (commands.COUNTED).
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
    which: str = COUNTED[0]

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
    files = {"config": "config.yaml", "choices": "choices.json", "provenance": "provenance.json"}
    contents = {
        name: _parsed(folder / file, parse_yaml if name == "config" else parse_json, dict) for name, file in files.items()
    }
    for group in ("env", "norm", "baseline", "model", "seed"):
        if group not in contents["config"]:
            raise AnalysisError(f"{folder / 'config.yaml'}: expected an entry {group}; it is of another version, {AGAIN}")
    checks.origin(contents, {name: str(folder / file) for name, file in files.items()}, AGAIN)
    steps, seconds = 0, 0.0
    if (folder / "metrics.csv").exists():
        metrics = _csv(folder / "metrics.csv", {"env_steps": int, "rollout_seconds": float, "update_seconds": float})
        steps = int(metrics.env_steps.max()) if len(metrics) else 0
        seconds = float(metrics.rollout_seconds.sum() + metrics.update_seconds.sum())
    elif not (folder / "evaluation.json").exists():
        raise AnalysisError(f"{folder}: expected a metrics.csv or an evaluation.json, found neither; {AGAIN}")
    return Run(
        source=folder,
        config=contents["config"],
        choices=contents["choices"],
        provenance=contents["provenance"],
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
        tables = retained.tables(_parsed(folder / "retention.json", parse_json, dict), folder / "retention.json")
    if (folder / "retention.csv").exists():
        probes = _csv(folder / "retention.csv", retained.FORGETTING, retained.MISSING["forgetting"])
        tables["forgetting"] = rounded(probes, retained.FORGETTING)
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
    return rounded(binned.reset_index(), BINS)


def _evaluations(folder: Path) -> pd.DataFrame:
    """The records of a folder's evaluation.json."""
    file = folder / "evaluation.json"
    records = _parsed(file, parse_json, list) if file.exists() else []
    rows = {}
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise AnalysisError(f"{file}: record {number}: expected a mapping, found {checks.shown(record)}; {EVALUATE_AGAIN}")
        if missing := [name for name in EVALUATIONS if name not in {"options", "optimum", counting.EVALUATED, *record}]:
            raise AnalysisError(f"{file}: record {number}: expected {missing[0]} in each record; {EVALUATE_AGAIN}")
        options = record.get("options")
        if options is not None:
            options = json.dumps(
                checks.entry(record, ["options"], dict, f"{file}: record {number}", EVALUATE_AGAIN), sort_keys=True
            )
        added = {
            "optimum": record.get("optimum"),
            counting.EVALUATED: counting.at(record, f"{file}: record {number}", EVALUATE_AGAIN),
        }
        rows[f"record {number}"] = record | {"options": options} | added
    given = pd.DataFrame([*rows.values()], index=[*rows], columns=list(EVALUATIONS), dtype=object)
    return rounded(checks.table(given, EVALUATIONS, str(file), EVALUATE_AGAIN, missing=MISSING), EVALUATIONS)


def _parsed(file: Path, parse: Any, kind: type) -> Any:
    """A YAML or JSON file's content, a mapping or a list of plain values."""
    try:
        if file.exists() and not file.is_file():  # a named pipe would be waited for
            raise ValueError("it is a folder, or no file at all")
        content = parse(file.read_text())
        checks.readable(content)
        if not isinstance(content, kind):
            raise ValueError(f"it holds no {'mapping' if kind is dict else 'list'}")
        return content
    except FileNotFoundError:
        raise AnalysisError(f"{file}: not there; expected the folder that src/run.py wrote; {AGAIN}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise AnalysisError(f"{file}: expected a readable file ({_told(error)}); {AGAIN}") from None


def _csv(file: Path, columns: dict[str, type], missing: Collection[str] = ()) -> pd.DataFrame:
    """These columns of a run's table. missing: those that may lack a number."""
    given = read_csv(file, AGAIN)
    if absent := [name for name in columns if name not in given]:
        raise AnalysisError(f"{file}: expected a column {absent[0]}; the run is of another version, {AGAIN}")
    return checks.table(given, columns, str(file), AGAIN, text=True, missing=missing)


def read_csv(file: Path, remedy: str, **options: Any) -> pd.DataFrame:
    """A CSV file; raises AnalysisError where it is none."""
    try:
        if file.exists() and not file.is_file():
            raise ValueError("it is a folder, or no file at all")
        return pd.read_csv(file, **options)
    except (ValueError, OSError) as error:
        raise AnalysisError(f"{file}: expected a readable table ({_told(error)}); {remedy}") from None


def _told(error: Exception) -> str:
    """What an error says, in a line."""
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested dictionaries, named by dotted paths."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree
