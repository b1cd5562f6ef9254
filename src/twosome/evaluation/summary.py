"""What the evaluations print: tables of records, of language retention and of interference."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import rich.console
from omegaconf import DictConfig
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table

from twosome.errors import visible
from twosome.evaluation import records
from twosome.evaluation.records import LATER, Record
from twosome.evaluation.retention.drift import FILE
from twosome.identity import task_of
from twosome.storage.folder import RunFolder


def print_summary(folder: RunFolder, config: DictConfig) -> None:
    """Print the evaluations (a table for each task and prompt), the language model's drift, and the names of the files."""
    for of_setting in records.by_setting(records.read(folder)):
        print_records(of_setting, config.seed)
    if drift := folder.read_json(FILE, default={}).get("drift"):
        print_drift(drift)
    names = sorted(path.name for path in folder.path.iterdir() if not path.name.startswith("."))
    print_line(f"{folder.path}: {', '.join(names)}")


def print_table(title: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows as a table. The first column is aligned on the left, and folded if the terminal is too narrow."""
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    for number, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if number else "left", no_wrap=number > 0, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row.values()))
    Console().print(table)


def print_line(text: str) -> None:
    """Print a text as it is, without markup and colours."""
    Console(highlight=False, markup=False, soft_wrap=True).print(text)


def print_records(found: Sequence[Record], seed: int, evaluated: Record | None = None) -> None:
    """Print records of one task and prompt as a table. seed: the run's. evaluated: the entry LATER of those that are new.

    Records of an earlier evaluation are called added; the others are the run's own.
    """

    def row(when: str, policy: str, scores: Mapping[str, Any], spread: str = "") -> dict[str, str]:
        return {
            "training": when,
            "policy": policy,
            "episodes": f"{scores['episodes']:,}",
            "success": f"{scores['success_rate']:.2f}",
            "discounted return": f"{scores['return_mean']:.4f}{spread}",
            "decisions": f"{scores['decisions_mean']:.1f}",
        }

    rows = []
    for record in found:
        later = "" if LATER not in record else ", new" if record[LATER] == evaluated else ", added"
        rows.append(row(record["when"] + later, record["mode"], record, f" ± {record['return_std']:.4f}"))
        rows += [row(name, "", task) for name, task in (record.get("tasks") or {}).items()]
    empty = dict.fromkeys(rows[0], "")
    if (optimum := found[-1].get("optimum")) is not None:
        rows.append(empty | {"policy": "optimum", "discounted return": f"{optimum:.4f}" + " " * len(" ± 0.0000")})
    wording = "".join(f", {name} {value}" for name, value in (found[0].get("options") or {}).items())
    print_table(f"{task_of(found[0] | {'id': found[0]['env']})}{wording}, seed {seed}", rows)


def print_added(folder: RunFolder, file: str, added: bool) -> None:
    """Print whether the results were added to a file of the folder."""
    said = "added to what was there" if added else "had the same before; nothing was added to it"
    print_line(f"{folder.path / file}: {said}")


def print_benchmarks(entries: Mapping[str, dict[str, Any]]) -> None:
    """Print a line for each metric of the benchmarks of retention.json."""
    print_line("language retention: benchmarks")
    for name, entry in entries.items():
        for metric, paired in entry["metrics"].items():
            print_line(f"{name} {metric}, {_paired(paired)}")


def print_drift(drift: Mapping[str, Any]) -> None:
    """Print the main figures of a drift entry of retention.json, with 95 % intervals."""
    perplexity, (low, high) = drift["perplexity"], drift["perplexity_ratio_interval"]
    print_line(f"language retention: {drift['tokens']:,} tokens of prose, {drift['acc']['items']} questions")
    change = f"x {drift['perplexity_ratio']:.4f} [{low:.4f}, {high:.4f}]"
    print_line(
        f"perplexity {perplexity['before']:.3f} before, {perplexity['after']:.3f} after: {change}; KL {drift['kl']:.5f} nats"
    )
    for metric in ("acc", "acc_norm"):
        print_line(f"{metric}, {_paired(drift[metric])}")


def _paired(paired: Mapping[str, Any]) -> str:
    low, high = paired["interval"]
    return (
        f"{paired['items']:,} items: {paired['before']:.3f} before, {paired['after']:.3f} after, change "
        f"{paired['difference']:+.3f} [{low:+.3f}, {high:+.3f}], McNemar's p {paired['p_value']:.3f}; {verdict(paired)}"
    )


def verdict(paired: Mapping[str, Any]) -> str:
    """Describe the loss of a paired comparison. Data cannot show that there is no loss, only bound it."""
    if paired["difference"] < 0 and paired["p_value"] < 0.05:
        return f"accuracy lost: {-paired['difference']:.3f}"
    return f"no loss detected larger than {paired['no_loss_above']:.3f}"


def print_interference(title: str, found: Record) -> None:
    """Print the mean changes of interference.json by kind of action. title: of the figure."""
    measure, kinds = next(iter(found["changes"].items()))
    rows = []
    for kind, entry in kinds.items():
        means = {place.replace("_", " "): part["mean"] for place, part in entry.items() if place != "carried_over"}
        rows.append({"action": kind, **{place: "" if mean is None else f"{mean:+.3f}" for place, mean in means.items()}})
    print_table(title, rows)
    share = "no value" if (found_share := found["carried_over"][measure]) is None else f"{found_share:.2f}"
    print_line(f"mean changes of {measure}; mean absolute change of all actions outside of the update over that in it: {share}")


class Console(rich.console.Console):
    """Rich's console, in which texts cannot control the terminal: they may come from a stranger's folder."""

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """See Rich's; it is called for everything that is printed, and for each cell of a table."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text, keep="\n"))
