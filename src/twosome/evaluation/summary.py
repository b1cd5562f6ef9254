"""Print a run's evaluations and the list of its files."""

from collections.abc import Iterator, Sequence

from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table

from twosome.evaluation import records
from twosome.evaluation.records import LATER, Record
from twosome.evaluation.retention.report import FILE, print_drift
from twosome.identity import task_of
from twosome.storage.folder import RunFolder
from twosome.terminal import Console

FILES = {
    "evaluation.json": "the numbers above",
    "retention.json": "what became of the model's English",
    "learning_curve.png": "return and success over training",
    "episode.gif": "the agent, and how likely its actions were",
    "episodes.csv": "every training episode",
    "metrics.csv": "every update's losses and statistics",
    "adapter": "what was learned (a PEFT adapter)",
    "model": "what was learned (all weights)",
    "head": "what was learned (the action head)",
    "affordance": "what was learned of when actions succeed",
    "policy": "what was learned (the networks' weights)",
    "config.yaml": "the configuration; provenance.json: versions, model, machine",
    "checkpoints": "the last two, to go on from",
}

LEGEND = "new: of this evaluation; added: of one before it; the others: the run's own."
"""The legend of `print_records` for records that are not the run's own."""


def print_summary(folder: RunFolder, config: DictConfig) -> None:
    """Print the evaluations (a table for each task and prompt), the language model's drift, and the list of files."""
    for of_setting in records.by_setting(records.read(folder)):
        print_records(of_setting, config.seed)
    if drift := folder.read_json(FILE, default={}).get("drift"):
        print_drift(drift)
    print_files(folder, FILES)


def print_records(found: Sequence[Record], seed: int, evaluated: Record | None = None) -> None:
    """Print records of one task and prompt as a table. seed: the run's. evaluated: the entry LATER of those that are new."""
    task = task_of(found[0] | {"id": found[0]["env"]})
    wording = "".join(f", {name} {value}" for name, value in (found[0].get("options") or {}).items())
    table = Table(title=escape(f"{task}{wording}, seed {seed}"), title_justify="left", title_style="bold")
    table.add_column("training")
    table.add_column("policy")
    for column in ("episodes", "success", "discounted return", "decisions"):
        table.add_column(column, justify="right", no_wrap=True)
    for record in found:
        later = "" if LATER not in record else ", new" if record[LATER] == evaluated else ", added"
        table.add_row(
            escape(f"{record['when']}{later}"),
            escape(record["mode"]),
            f"{record['episodes']:,}",
            f"{record['success_rate']:.2f}",
            f"{record['return_mean']:.4f} ± {record['return_std']:.4f}",
            f"{record['decisions_mean']:.1f}",
        )
        for row in _by_task(record):
            table.add_row(*row, style="dim")
    optimum = found[-1].get("optimum")
    if optimum is not None:
        table.add_section()
        table.add_row("", "optimum", "", "", f"{optimum:.4f}" + " " * len(" ± 0.0000"), "", style="dim")
    Console().print(table)


def _by_task(record: Record) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each task's scores, if the environment mixes tasks, and of the success rate as training counts it."""
    for name, task in (record.get("tasks") or {}).items():
        mean = f"{task['return_mean']:.4f}"
        yield escape(name), "", f"{task['episodes']:,}", f"{task['success_rate']:.2f}", mean, f"{task['decisions_mean']:.1f}"
    if record.get("success_rate_as_ended") is not None:
        yield "as they end", "", "", f"{record['success_rate_as_ended']:.2f}"


def print_added(file: str, added: bool, legend: str = "") -> None:
    """Print whether the results were added to file. legend: of the words in the table above."""
    remark = f"{file} had the same before; nothing was added to it."
    if added:
        remark = (
            f"Added to {file}; nothing in it was changed. Where the run has its own, analysis takes that one; with "
            "--evaluations latest, the latest."
        )
    Console(highlight=False).print(" ".join(filter(None, [legend, remark])))


def print_files(folder: RunFolder, files: dict[str, str]) -> None:
    """Print the run's folder, and those of the files (name: description) that it holds."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{escape(str(folder.path))}[/bold]")
    there = {name: what for name, what in files.items() if (folder.path / name).exists()}
    width = max(map(len, there), default=0)
    for name, what in there.items():
        console.print(f"  {escape(name.ljust(width))}  [dim]{escape(what)}[/dim]")
