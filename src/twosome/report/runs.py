"""Runs: read from their folders, or from published tables, collected, and checked to be comparable."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from twosome.errors import UserError
from twosome.files import check_folder
from twosome.identity import AGENT
from twosome.report import records
from twosome.report.output import Folder, warn
from twosome.report.records import BIN, COLUMNS, EVALUATED, table

ABLATION = "ablation/"  # what the labels of an ablation's runs begin with; its name and the varied value follow
LANGUAGE, LEARNING = ("norm", "model"), ("algorithm", "total_steps")
SETTING = ("env", "baseline", "tuning", "value_head", "policy_head", *LANGUAGE, *LEARNING)
"""Entries of the configuration that say what is computed, besides the seed; and those that only runs with a language model, or
runs that learn, use."""
INCIDENTAL = (
    *("model.seed", "model.device", "model.attn_implementation", "model.packed_weights"),
    *("model.engine", "model.batch_tokens", "model.cache_mb"),
)
"""Options that say how something is computed, not what."""
WHO = {"random": "random", "before": "untrained", "after": "trained"}  # who plays: its name in records, and its name in figures
RUNS = {
    **{"format": int, "run": str, "task": str, "method": str, "seed": int, "model": str},
    **{"steps": int, "optimizer_steps": float, "seconds": float, "covered": int, "binned": str, "finished": bool},
    **{"model_checksum": str, "git_commit": str, "started": str, "ended": str, "config": str, "choices": str, "provenance": str},
}
"""Columns of the published table of runs."""
FILES = {"runs": "runs.csv", "bins": "curves.csv"} | {name: f"{name}.csv" for name in COLUMNS if name != "bins"}
"""Published tables."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    source: the run's folder, or the folder of published tables. task: what was to be done, worded otherwise than by default where
    that is so; a panel or block of rows each. method: the run's label, which is its method's name unless it was given another; a
    line or row each. model: the language model's name; empty where none was used. config, choices, provenance: the folder's
    files. finished: whether it was. steps: environment steps that it trained for, 0 for a policy that is only evaluated.
    optimizer_steps: of the policy, in these. seconds: time that these took. covered: environment steps up to which every episode
    that began has ended. bins: a row for each whole bin up to covered. evaluations: a row for each. accuracies, drift: what the
    language model still knows, a row per benchmark and metric, and one for the drift probe, and evaluation of it. forgetting: a
    row per probe during training. apart: whether it is shown as an ablation only (--ablations).
    """

    source: Path
    task: str
    method: str
    seed: int
    model: str
    config: dict[str, Any]
    choices: dict[str, Any]
    provenance: dict[str, Any]
    finished: bool
    steps: int
    optimizer_steps: float
    seconds: float
    covered: int
    bins: pd.DataFrame
    evaluations: pd.DataFrame
    accuracies: pd.DataFrame = field(default_factory=partial(table, [], COLUMNS["accuracies"]))
    drift: pd.DataFrame = field(default_factory=partial(table, [], COLUMNS["drift"]))
    forgetting: pd.DataFrame = field(default_factory=partial(table, [], COLUMNS["forgetting"]))
    apart: bool = False

    @property
    def name(self) -> str:
        """Names the run among those of one figure."""
        return f"{self.task}/{self.method}/{self.seed}".replace(" ", "_")

    @property
    def ablated(self) -> bool:
        """Whether the run is one of an ablation, which only the figures of ablations show."""
        return self.apart or self.method.startswith(ABLATION)

    @cached_property
    def acted(self) -> bool:
        """Whether it learned from episodes of its own: these are its learning curve. Other runs have their evaluations only."""
        return bool(self.steps) and self.provenance.get("actor", AGENT) == AGENT

    @property
    def end(self) -> int:
        """Where the learning curve ends: the last whole bin up to covered; 0 where it has none."""
        return self.covered // BIN * BIN if self.acted else 0

    @cached_property
    def setting(self) -> dict[str, Any]:
        """The options that runs of one method must share, by dotted name; without what the method does not use."""
        unused = (*(() if self.model else LANGUAGE), *(() if self.steps else LEARNING))
        found = leaves({group: self.config.get(group) for group in SETTING if group not in unused})
        return {name: value for name, value in found if not name.startswith(INCIDENTAL)}

    def evaluation(self, when: str, mode: str = "sampled", **changes: Any) -> dict[str, Any] | None:
        """Return a record of the run's own task, prompt and options; None where there is none.

        when: a key of WHO. mode: "sampled" or "greedy". changes: of the task, the prompt or the options.
        """
        env, found = self.config["env"], self.evaluations
        wanted = {"when": when, "mode": mode, "env": env["id"], "task": env.get("task") or "", "prompt": env.get("prompt") or ""}
        wanted |= changes | {"options": json.dumps(changes.get("options", {}), sort_keys=True)}
        for name, value in wanted.items():
            found = found[found[name] == value]
        return {str(name): value for name, value in found.iloc[-1].items()} if len(found) else None

    def played(self, mode: str = "sampled") -> pd.DataFrame:
        """Return the evaluations on all tasks, with the column own: whether it was trained on this one.

        mode: "sampled" or "greedy". Evaluations with another prompt or other options than in training are left out.
        """
        env, found = self.config["env"], self.evaluations
        prompt = (found.env == env["id"]).map({True: env.get("prompt") or "", False: "default"})
        found = found.assign(own=(found.env == env["id"]) & (found.task == (env.get("task") or "")))
        return found[(found["mode"] == mode) & (found.options == "{}") & (found.prompt == prompt) & found.when.isin(list(WHO))]

    @cached_property
    def optimum(self) -> float:
        """The best discounted return of the run's task; nan where no evaluation states it."""
        found = [self.evaluation(when, mode) for when in ("after", "before") for mode in ("sampled", "greedy")]
        return next((record["optimum"] for record in found if record), math.nan)

    def counted(self, which: str) -> "Run":
        """Keep one evaluation of each kind. which: one of records.COUNTED."""
        evaluations = records.counted(self.evaluations, records.KEY, "episodes", which)
        accuracies = records.counted(self.accuracies, ("task", "metric"), "items", which)
        drift = records.counted(self.drift, (), "tokens", which)
        return replace(self, evaluations=evaluations, accuracies=accuracies, drift=drift)


Methods = Mapping[str, Sequence[Run]]  # A task's runs, by method
Grouped = dict[str, dict[str, list[Run]]]  # runs by task, then by method, then by seed


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dictionaries, named by dotted paths."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree


def by_task(runs: Sequence[Run]) -> Grouped:
    """Group runs, in their order."""
    grouped: Grouped = {}
    for run in runs:
        grouped.setdefault(run.task, {}).setdefault(run.method, []).append(run)
    return grouped


def ordinary(runs: Sequence[Run]) -> Grouped:
    """Group the runs that are not of an ablation. Raises UserError where there is none."""
    chosen = [run for run in runs if not run.ablated]
    if not chosen:
        raise UserError("expected a run that is not of an ablation, found none; draw these with python analysis/ablations.py")
    return by_task(chosen)


def read_folder(folder: Path) -> Run:
    """Read a run from its folder, which src/run.py wrote."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    origin = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("choices", "provenance")}
    tables: dict[str, Any] = {"evaluations": records.read_evaluations(folder), **records.read_retained(folder)}
    names = {"task": origin["provenance"]["task"], "method": origin["provenance"]["label"], "seed": config["seed"]}
    return Run(
        source=folder,
        **names,
        model=origin["provenance"].get("model") or "",
        config=config,
        **origin,
        finished=(folder / "DONE").exists(),
        **records.read_training(folder, config),
        **tables,
    )


def publish(runs: Sequence[Run], out: Folder) -> None:
    """Write runs as a few tables in place of any that the folder holds; `read_published` reads them.

    runs.csv has a row per run: what people look for, then its configuration, choices and provenance as JSON. The other tables are
    the runs', below each other. Those of the language model are there if they have a row, the column EVALUATED where anything was
    added to a run.
    """
    rows = []
    for run in runs:
        row = {name: run.provenance.get({"ended": "finished"}.get(name, name)) or "" for name in RUNS}
        row |= {name: getattr(run, name) for name in RUNS if hasattr(run, name)}
        row |= {"format": 2, "run": run.name, "binned": "began"}
        rows.append(row | {name: json.dumps(row[name], separators=(",", ":")) for name in ("config", "choices", "provenance")})
    out.csv("runs", pd.DataFrame(rows, columns=list(RUNS)))
    for name, columns in COLUMNS.items():
        stacked = pd.concat([getattr(run, name).assign(run=run.name) for run in runs])[["run", *columns]]
        if EVALUATED in stacked and not stacked[EVALUATED].any():
            stacked = stacked.drop(columns=EVALUATED)
        if len(stacked) or name in ("bins", "evaluations"):
            out.csv(FILES[name].removesuffix(".csv"), stacked)
        else:
            (out.path / FILES[name]).unlink(missing_ok=True)  # of other runs


def read_published(folder: Path) -> list[Run]:
    """Read the runs of a folder of published tables."""

    def read(name: str, columns: Mapping[str, type]) -> pd.DataFrame:
        if not (folder / FILES[name]).exists():
            return table([], columns)
        texts = {name: kind for name, kind in columns.items() if kind is str}
        numbers = {name: "" for name in columns if name not in texts}  # which may be missing
        given = pd.read_csv(folder / FILES[name], dtype=texts, keep_default_na=False, na_values=numbers)
        return table(given, columns)

    tables = {name: read(name, {"run": str, **columns}) for name, columns in COLUMNS.items()}
    found = []
    for row in read("runs", RUNS).to_dict("records"):
        own = {name: every[every.run == row["run"]].drop(columns="run").reset_index(drop=True) for name, every in tables.items()}
        details = {name: json.loads(row[name]) for name in ("config", "choices", "provenance")}
        fields = {name: value for name, value in row.items() if name in Run.__dataclass_fields__ and name not in details}
        found.append(Run(folder, **fields, **details, **own))
    return found


def read(
    folders: Sequence[Path], seeds: Sequence[int] | None = None, unfinished: bool = False, first: Sequence[str] = ()
) -> list[Run]:
    """Read all runs at and below the folders, sorted by task, method and seed; a run found twice counts once.

    seeds: take only these; every trained method must have them all. unfinished: whether to take runs that are not finished, as
    far as they have results. first: the tasks that come first, in this order. Raises UserError where there is no run, or where
    runs cannot be compared.
    """
    found = [run for folder in folders for run in _below(folder, unfinished)]
    places = {task: place for place, task in enumerate(first)}
    chosen: dict[str, Run] = {}
    for run in sorted(found, key=lambda run: (places.get(run.task, len(first)), run.task, run.method, run.seed)):
        if not run.finished and not unfinished:
            raise UserError(f"{run.source}: {run.name} is not finished; finish it with src/run.py resume=, or add --unfinished")
        if seeds is None or run.seed in seeds or not run.steps:
            chosen[run.name] = _fuller(run, chosen[run.name]) if run.name in chosen else run
    for task, methods in by_task(list(chosen.values())).items():
        for method, runs in methods.items():
            check_setting(f"{task}, {method}", runs)
            there = [run.seed for run in runs]
            if seeds and any(run.steps for run in runs) and not set(seeds) <= set(there):
                raise UserError(f"--seeds: expected {sorted(seeds)} of {task}, {method}, found {there}")
    if not chosen:
        raise UserError(f"--seeds: expected a run with one of {seeds}, found none")
    return list(chosen.values())


def _below(folder: Path, unfinished: bool) -> list[Run]:
    """Read the runs at and below a folder. Folders that src/export.py wrote have a run's config.yaml, too."""
    runs: list[Run] = []
    for file in sorted(path for name in ("config.yaml", "runs.csv") for path in folder.rglob(name)):
        place, own = file.parent, file.name == "config.yaml"
        if own and (not (place / "provenance.json").exists() or (place / "adapter_config.json").exists()):
            continue
        if own and unfinished and not any((place / name).exists() for name in ("metrics.csv", "evaluation.json")):
            warn(f"{place}: left out, since the run has no results yet")
            continue
        check_folder(place)
        runs += [read_folder(place)] if own else read_published(place)
    if not runs:
        raise UserError(f"{folder}: no run in it; expected folders that src/run.py wrote, or published tables (runs.csv, ...)")
    return runs


def _fuller(run: Run, other: Run) -> Run:
    """Return the one of two copies of a run that was evaluated further, with what was added to the other one.

    Raises UserError where the run itself wrote different results.
    """
    check_setting(run.name, [other, run])
    tables = ("evaluations", "accuracies", "drift")
    own = {each: [int((getattr(each, name)[EVALUATED] == "").sum()) for name in tables] for each in (other, run)}
    fuller, less = sorted(own, key=lambda each: (own[each], len(each.evaluations), len(each.accuracies)), reverse=True)
    same = run.bins.drop(columns="seconds").equals(other.bins.drop(columns="seconds"))
    together: dict[str, Any] = {}
    for name in tables:
        ours, theirs = getattr(fuller, name), getattr(less, name)
        added = theirs[EVALUATED] != ""
        same &= len(theirs[~added].merge(ours)) == len(theirs[~added])
        together[name] = pd.concat([ours, theirs[added]]).drop_duplicates(ignore_index=True) if added.any() else ours
    if not same:
        raise UserError(f"{run.source}: the same setting and seed as {other.source} ({run.name}), with different results")
    return replace(fuller, **together)


def check_setting(where: str, runs: Sequence[Run], varied: Sequence[str] = ()) -> None:
    """Raise UserError where runs differ in an option. Options that a run lacks are not compared. varied: may differ."""
    first = runs[0]
    for run in runs[1:]:
        for name in first.setting.keys() & run.setting.keys():
            ours, theirs = first.setting[name], run.setting[name]
            same = ours == theirs or (ours != ours and theirs != theirs)  # nan is nan
            if not same and not any(name == each or name.startswith(f"{each}.") for each in varied):
                raise UserError(
                    f"{where}: expected runs of one setting, found {name}={ours} in {first.source} and "
                    f"{name}={theirs} in {run.source}; name only folders of one setting"
                )
