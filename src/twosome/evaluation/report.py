"""Evaluations as records of evaluation.json, and what a run prints of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from twosome.config import EvaluationConfig
from twosome.envs.optimum import optimal_return
from twosome.evaluation.episodes import play, summarize
from twosome.evaluation.retention.report import FILE, print_drift
from twosome.experiment import MakeEnv
from twosome.policies.agent import Agent
from twosome.training.runfolder import RunFolder

SETTING = ("env", "task", "prompt", "options")
KEY = ("when", *SETTING, "mode")
Record = dict[str, Any]

FILES = {
    "evaluation.json": "the numbers above",
    "retention.json": "what became of the model's English",
    "learning_curve.png": "return and success over training",
    "episode.gif": "the agent, and how likely its actions were",
    "episodes.csv": "every training episode",
    "metrics.csv": "every update's losses and statistics",
    "adapter": "what was learned (a PEFT adapter)",
    "affordance": "what was learned of when actions succeed",
    "policy": "what was learned (the networks' weights)",
    "config.yaml": "the configuration; provenance.json: versions, model, machine",
    "checkpoints": "the last two, to go on from",
}


def evaluate(
    agent: Agent,
    make_env: MakeEnv,
    folder: RunFolder,
    env: DictConfig,
    config: EvaluationConfig,
    when: str,
    options: Mapping[str, Any] | None = None,
) -> list[Record]:
    """Play config.episodes episodes sampled and as many greedy; keep both results in the folder's evaluation.json.

    when: "before" or "after" training. options: of the environment, by name, where they are not the run's own. A record
    replaces an earlier one of the same when, environment, task, prompt, options and mode. It also holds the
    environment's best return ("optimum"), None where that is not known.
    """
    records: list[Record] = []
    optimum = optimal_return(make_env, env.gamma)
    for mode in ("sampled", "greedy"):
        episodes = play(agent, make_env, config.episodes, env.gamma, config.seed, greedy=mode == "greedy")
        head = {"when": when, **setting_of(env, options), "mode": mode, "seed": config.seed}
        records.append(head | summarize(episodes) | {"optimum": optimum})
    kept = [old for old in folder.read_json("evaluation.json", default=[]) if _key(old) not in map(_key, records)]
    folder.write_json("evaluation.json", kept + records)
    return records


def _key(record: Record, names: Sequence[str] = KEY) -> tuple[str, ...]:
    return tuple(json.dumps(record.get(name) or None, sort_keys=True) for name in names)


def setting_of(env: DictConfig, options: Mapping[str, Any] | None = None) -> Record:
    """The fields SETTING of a record. options: of the environment, by name, where they are not the run's own."""
    return {"env": env.id, "task": env.get("task"), "prompt": env.get("prompt"), "options": dict(options or {})}


def of_setting(records: Sequence[Record], setting: Record) -> list[Record]:
    """Those records that have the setting's environment, task, prompt and options."""
    return [record for record in records if _key(record, SETTING) == _key(setting, SETTING)]


def print_summary(folder: RunFolder, config: DictConfig) -> None:
    """Print the evaluations, a table for each task and prompt, the language model's drift, and where everything lies."""
    records = folder.read_json("evaluation.json", default=[])
    for setting in {_key(record, SETTING): record for record in records}.values():
        print_records(of_setting(records, setting), config.seed)
    if drift := folder.read_json(FILE, default={}).get("drift"):
        print_drift(drift)
    print_files(folder, FILES)


def print_records(records: Sequence[Record], seed: int) -> None:
    """Print records of one task and prompt as a table. seed: the run's."""
    task, prompt = records[0]["task"] or records[0]["env"], records[0]["prompt"]
    wording = f", prompt {prompt}" if prompt not in (None, "default") else ""
    wording += "".join(f", {name} {value}" for name, value in (records[0].get("options") or {}).items())
    table = Table(title=escape(f"{task}{wording}, seed {seed}"), title_justify="left", title_style="bold")
    table.add_column("training")
    table.add_column("policy")
    for column in ("episodes", "success", "discounted return", "decisions"):
        table.add_column(column, justify="right", no_wrap=True)
    for record in records:
        table.add_row(
            record["when"],
            record["mode"],
            f"{record['episodes']:,}",
            f"{record['success_rate']:.2f}",
            f"{record['return_mean']:.4f} ± {record['return_std']:.4f}",
            f"{record['decisions_mean']:.1f}",
        )
    optimum = records[-1].get("optimum")
    if optimum is not None:
        table.add_section()
        table.add_row("", "optimum", "", "", f"{optimum:.4f}" + " " * len(" ± 0.0000"), "", style="dim")
    Console().print(table)


def print_files(folder: RunFolder, files: dict[str, str]) -> None:
    """Print the run's folder, and below it which of these files (name: what it is) it holds."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{escape(str(folder.path))}[/bold]")
    there = {name: what for name, what in files.items() if (folder.path / name).exists()}
    width = max(map(len, there), default=0)
    for name, what in there.items():
        console.print(f"  {escape(name.ljust(width))}  [dim]{escape(what)}[/dim]")
