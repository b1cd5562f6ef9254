"""Write the results of a drift probe and of benchmarks to a run's folder, and print them."""

from typing import TYPE_CHECKING, Any

from rich.table import Table

from twosome.evaluation.records import LATER, same
from twosome.evaluation.retention import texts
from twosome.storage.folder import RunFolder
from twosome.terminal import Console

if TYPE_CHECKING:
    from twosome.evaluation.retention.drift import DriftProbe

FILE = "retention.json"


def measured(probe: "DriftProbe") -> dict[str, Any]:
    """Measure the drift; return the entry "drift" of retention.json."""
    return {"texts": texts.checksum(), **probe.measure().summary()}


def write_own(drift: dict[str, Any], folder: RunFolder) -> None:
    """Write the run's own measurement as the entry "drift" of its folder's retention.json."""
    folder.write_json(FILE, folder.read_json(FILE, default={}) | {"drift": drift})


def add_later(found: dict[str, Any], folder: RunFolder, evaluated: dict[str, Any]) -> bool:
    """Add the results of a later evaluation to the list "later" of the folder's retention.json; return whether they were added.

    found: "drift", or "benchmarks" with an entry by name (results.comparison). evaluated: the result of `records.stamp`. Existing
    entries do not change, and equal ones are not added again.
    """
    content = folder.read_json(FILE, default={})
    later = content.get("later", [])
    if any(_has(part, found) for part in (content, *later)):
        return False
    folder.write_json(FILE, content | {"later": [*later, {LATER: evaluated, **found}]})
    return True


def _has(part: dict[str, Any], found: dict[str, Any]) -> bool:
    """Return whether a part of retention.json holds an equal drift or equal entries."""
    if "benchmarks" in found:
        return _has(part.get("benchmarks", {}), found["benchmarks"])
    return all(name in part and same(part[name], found[name]) for name in found)


def print_benchmarks(entries: dict[str, dict[str, Any]]) -> None:
    """Print the benchmarks of retention.json as a table, and a sentence for each."""
    table = Table(title="language retention: benchmarks", title_justify="left", title_style="bold")
    table.add_column("task", no_wrap=True)
    for column in ("items", "before", "after", "change", "95 % interval"):
        table.add_column(column, justify="right", no_wrap=True)
    sentences = []
    for name, entry in entries.items():
        for metric, paired in entry["metrics"].items():
            cells = (f"{paired['items']:,}", *_both(paired, ".3f"), f"{paired['difference']:+.3f}")
            table.add_row(f"{name} {metric}", *cells, _interval(paired["interval"], "+.3f"))
            sentences.append(f"{name} {metric}: {verdict(paired)} (McNemar's p {paired['p_value']:.3f})")
    Console().print(table)
    print("\n".join(sentences))


def print_drift(drift: dict[str, Any]) -> None:
    """Print a drift entry of retention.json as a table."""
    title = f"language retention: {drift['tokens']:,} tokens of prose, {drift['acc']['items']} questions"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("")
    for column in ("before", "after", "change", "95 % interval", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    perplexity, bits = drift["perplexity"], drift["bits_per_byte"]
    ratio = f"x {drift['perplexity_ratio']:.4f}"
    table.add_row("perplexity", *_both(perplexity, ".3f"), ratio, _interval(drift["perplexity_ratio_interval"], ".4f"))
    table.add_row("bits per byte", *_both(bits, ".4f"), f"{bits['after'] - bits['before']:+.4f}")
    table.add_row("KL (nats)", "", "", f"{drift['kl']:.5f}", _interval(drift["kl_interval"], ".5f"))
    agreement = f"{drift['top1_agreement']:.3f}"
    table.add_row("same top token", "", "", agreement, _interval(drift["top1_agreement_interval"], ".3f"))
    for name in ("acc", "acc_norm"):
        paired = drift[name]
        change = f"{paired['difference']:+.3f}"
        p_value = f"{paired['p_value']:.3f}"
        table.add_row(name, *_both(paired, ".3f"), change, _interval(paired["interval"], "+.3f"), p_value)
    Console().print(table)
    for name in ("acc", "acc_norm"):
        print(f"{name}: {verdict(drift[name])}")


def verdict(paired: dict[str, Any]) -> str:
    """Describe the loss of a paired comparison. Data cannot show that there is no loss, only bound it."""
    if paired["difference"] < 0 and paired["p_value"] < 0.05:
        return f"accuracy lost: {-paired['difference']:.3f}"
    return f"no loss detected larger than {paired['no_loss_above']:.3f}"


def _both(figures: dict[str, Any], form: str) -> tuple[str, str]:
    return format(figures["before"], form), format(figures["after"], form)


def _interval(ends: tuple[float, float], form: str) -> str:
    return f"{format(ends[0], form)} to {format(ends[1], form)}"
