"""What a model card takes from a run's files: records with intervals, the training's length, what was forgotten."""

import math
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml

from twosome.errors import visible
from twosome.evaluation import records
from twosome.evaluation.records import LATER, Record
from twosome.evaluation.retention.report import verdict
from twosome.report.statistics import Z95, wilson
from twosome.storage.folder import TAKEN, RunFolder


def plain(value: Any) -> str:
    """Return a value from a run's files as text of one line, in which nothing is Markdown."""
    return re.sub(r"([\\`*\[\]<>|~&#$@]|(?<!\w)_|_(?!\w)|:(?=//))", r"\\\1", visible(" ".join(str(value).split())))


def code(value: Any) -> str:
    """Return a value from a run's files as code of one line."""
    text = visible(" ".join(str(value).split())).replace("|", "\\|")  # which would end the cell of a table, also in code
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}"


def own_records(folder: RunFolder) -> list[Record]:
    """Return the records of the task that a run was trained on, one for each "when" and mode (see `latest`)."""
    return latest(records.of_setting(records.read(folder), records.setting_of(folder.config.env)))


def latest(found: Sequence[Record]) -> list[Record]:
    """Return one record for each "when" and mode: the run's own, else the latest."""
    kept: dict[tuple[str, str], Record] = {}
    for record in found:
        key = record["when"], record["mode"]
        if key not in kept or LATER in kept[key]:
            kept[key] = record
    return list(kept.values())


def trained_for(folder: RunFolder) -> tuple[int, int]:
    """Return the environment steps and updates of a run, by the last row of metrics.csv; zeros without one."""
    taken = folder.read_json("provenance.json", {}).get(TAKEN, {})
    if "env_steps" in taken:
        return int(taken["env_steps"]), int(taken["updates"])
    file = folder.path / "metrics.csv"
    if not file.is_file():
        return 0, 0
    last = pd.read_csv(file, usecols=["env_steps", "update"]).iloc[-1]
    return int(last["env_steps"]), int(last["update"])


def norm(config: Any) -> str:
    """Return the name of a configuration's norm."""
    return str(config.norm.get("_target_")).rpartition(".")[2]


def overrides(folder: RunFolder) -> list[Any]:
    """Return the words of the run's command line."""
    file = folder.path / "overrides.yaml"
    return yaml.safe_load(file.read_text()) or ["none"] if file.is_file() else ["unknown"]


def table(found: Sequence[Record], task: bool) -> str:
    """Return records as a table in Markdown. task: whether a column names each record's task."""
    columns = [*(["task"] if task else []), "training", "policy", "episodes", "success", "discounted return", "decisions"]
    rows = [[*([plain(record.get("task"))] if task else []), *_row(record)] for record in found]
    ruled = [["---"] * len(columns)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [columns, *ruled, *rows])


def _row(record: Record) -> list[str]:
    episodes = int(record["episodes"])
    success = wilson(round(record["success_rate"] * episodes), episodes)
    half = Z95 * record["return_std"] / math.sqrt(episodes)
    mean = record["return_mean"]
    return [
        *(plain(record["when"]), plain(record["mode"]), f"{episodes:,}"),
        f"{record['success_rate']:.2f} [{float(success.low):.2f}, {float(success.high):.2f}]",
        f"{mean:.4f} [{mean - half:.4f}, {mean + half:.4f}]",
        f"{record['decisions_mean']:.1f}",
    ]


def drift_lines(drift: dict[str, Any] | None) -> list[str]:
    """Return the entry "drift" of retention.json as lines of a list."""
    if not drift:
        return []
    low, high = drift["perplexity_ratio_interval"]
    return [
        f"- English prose ({drift['tokens']:,} tokens): perplexity x {drift['perplexity_ratio']:.3f} [{low:.3f}, {high:.3f}], "
        f"KL divergence {drift['kl']:.4f} nats per token, the same likeliest token at {drift['top1_agreement']:.1%} of places.",
        f"- {drift['acc']['items']} questions: accuracy {drift['acc']['before']:.3f} before, {drift['acc']['after']:.3f} after; "
        f"{verdict(drift['acc'])}.",
    ]


def benchmark_lines(entries: dict[str, Any]) -> list[str]:
    """Return the benchmarks of retention.json as lines of a list."""
    return [
        f"- {plain(name)}, {plain(metric)}, {paired['items']:,} items: {paired['before']:.3f} before, "
        f"{paired['after']:.3f} after; {verdict(paired)}."
        for name, entry in entries.items()
        for metric, paired in entry["metrics"].items()
    ]
