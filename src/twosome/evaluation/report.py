"""Evaluations as records of evaluation.json, and what a run prints of them."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from twosome.config import EvaluationConfig
from twosome.evaluation.episodes import play, summarize
from twosome.experiment import MakeEnv
from twosome.policies.agent import Agent
from twosome.training.runfolder import RunFolder

KEY = ("when", "env", "task", "prompt", "mode")


def evaluate(
    agent: Agent, make_env: MakeEnv, folder: RunFolder, env: DictConfig, config: EvaluationConfig, when: str
) -> list[dict[str, Any]]:
    """Play config.episodes episodes sampled and as many greedy; keep both results in the folder's evaluation.json.

    when: "before" or "after" training. A record replaces an earlier one of the same when, environment, task, prompt and mode.
    """
    records = []
    for mode in ("sampled", "greedy"):
        episodes = play(agent, make_env, config.episodes, env.gamma, config.seed, greedy=mode == "greedy")
        head = {"when": when, "env": env.id, "task": env.get("task"), "prompt": env.get("prompt"), "mode": mode}
        records.append(head | {"seed": config.seed} | summarize(episodes))
    kept = [old for old in folder.read_json("evaluation.json", default=[]) if _key(old) not in map(_key, records)]
    folder.write_json("evaluation.json", kept + records)
    return records


def _key(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record.get(name) for name in KEY)


def print_summary(folder: RunFolder, config: DictConfig) -> None:
    """Print the evaluations as a table, and where everything lies."""
    table = Table(title=f"{config.env.get('task') or config.env.id}, seed {config.seed}")
    for column in ("", "policy", "episodes", "success rate", "mean discounted return", "decisions"):
        table.add_column(column, justify="left" if column in ("", "policy") else "right")
    for record in folder.read_json("evaluation.json", default=[]):
        table.add_row(
            f"{record['when']} training",
            record["mode"],
            str(record["episodes"]),
            f"{record['success_rate']:.2f}",
            f"{record['return_mean']:.4f} ± {record['return_std']:.4f}",
            f"{record['decisions_mean']:.1f}",
        )
    console = Console()
    console.print(table)
    for file in sorted(folder.path.iterdir()):
        if not file.name.startswith("."):
            console.print(f"  {Path(folder.path) / file.name}", highlight=False)
