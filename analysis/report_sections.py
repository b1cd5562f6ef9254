"""The parts of report.py's page, each a function that writes HTML of what another command made."""

import base64
import html
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

import yaml

import collection
import style
from commands import one_line
from ledger import CONTRADICTED, SUPPORTED
from runs import Run
from tables import Table, read_markdown, to_html


@dataclass(frozen=True)
class Page:
    """What sections are made of.

    out: where the commands wrote. made: the names of the files that were written there for this page; whatever else is there is
    of other runs. runs: all of them.
    """

    out: Path
    made: Collection[str]
    runs: Sequence[Run]

    def figure(self, name: str, caption: str) -> str:
        """A picture, with links to it and to the PDF; nothing where it was not made."""
        if f"{name}.png" not in self.made:
            return ""
        data = base64.b64encode((self.out / f"{name}.png").read_bytes()).decode()
        links = f'<a href="{name}.png">PNG</a>, <a href="{name}.pdf">PDF</a>'
        picture = f'<img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">'
        return f"<figure>{picture}<figcaption>{html.escape(caption)} {links}</figcaption></figure>"

    def table(self, name: str) -> Table:
        """A table that was made."""
        return read_markdown((self.out / f"{name}.md").read_text())


def learning_curves(page: Page) -> str:
    """The learning curves."""
    return (
        '<div class="figures">'
        + page.figure("curves_norms", "Norms against each other: discounted return of the training episodes.")
        + page.figure("curves_baselines", "TWOSOME with word norm against the baselines.")
        + '</div><p class="soft">The plotted numbers: <a href="curves.csv">curves.csv</a>.</p>'
    )


def summary(page: Page) -> str:
    """The table of methods, task by task."""
    table = page.table("summary")
    parts = []
    for task, rows in groupby(table.rows, key=lambda row: row[0]):
        parts += [f"<h3>{html.escape(task)}</h3>", to_html(Table("", table.columns[1:], [row[1:] for row in rows], left=1))]
    return "".join(parts) + notes(table) + formats("summary")


def formats(name: str) -> str:
    """Links to a table's files."""
    links = ", ".join(f'<a href="{name}.{suffix}">{suffix}</a>' for suffix in ("csv", "md", "tex"))
    return f'<p class="soft">As {links}.</p>'


def generalization(page: Page) -> str:
    """Success on tasks that were not trained on: both figures, both tables."""
    parts = [
        '<div class="figures">',
        page.figure("generalization", "Success on the other tasks of the environment."),
        page.figure("transfer", "Success by task trained on and task tested on, and the gain by training."),
        "</div>",
    ]
    return "".join(parts) + titled(page, ("generalization", "transfer"))


def titled(page: Page, names: Sequence[str]) -> str:
    """Tables, each under its title, as far as they were made."""
    parts = []
    for name in (each for each in names if f"{each}.md" in page.made):
        table = page.table(name)
        parts += [f"<h3>{html.escape(table.title)}</h3>", to_html(table), notes(table), formats(name)]
    return "".join(parts)


def retention(page: Page) -> str:
    """What the language model still knows: figures, and the tables of benchmarks and drift."""
    parts = [
        '<div class="figures">',
        page.figure("retention", "Accuracy of the language model before and after training."),
        page.figure("forgetting", "Drift from the base model over training."),  # of runs that were probed during training only
        "</div>",
    ]
    return "".join(parts) + titled(page, ("retention", "drift"))


def notes(table: Table) -> str:
    """A table's notes as a list."""
    return '<ul class="notes">' + "".join(f"<li>{html.escape(note)}</li>" for note in table.notes) + "</ul>"


def claims(page: Page) -> str:
    """The ledger: a heading per claim with its verdict, and its tests below."""
    table = page.table("claims")
    parts = []
    for number, rows in groupby(table.rows, key=lambda row: row[0]):
        whole, *tests = (row[1:] for row in rows)
        parts.append(f"<h3>{html.escape(number)}. {html.escape(whole[0])} {verdict(whole[-1])}</h3>")
        body = to_html(Table("", table.columns[1:], tests, left=len(whole)))
        for row in {row[-1] for row in tests}:
            body = body.replace(f">{html.escape(row)}</td>", f">{verdict(row)}</td>")
        parts.append(f'<div class="ledger">{body}</div>')
    return "".join(parts) + notes(table) + '<p class="soft">As <a href="claims.csv">csv</a>, <a href="claims.md">md</a>.</p>'


def verdict(text: str) -> str:
    """A verdict as a pill, and what is missing behind it."""
    word, _, why = text.partition(": ")
    kind = word if word in (SUPPORTED, CONTRADICTED) else "open"
    return f'<span class="verdict {kind}">{html.escape(word)}</span> {html.escape(why)}'.rstrip()


def runs(page: Page) -> str:
    """Each run's origin and configuration, folded away."""
    parts = []
    for task, methods in collection.by_task(page.runs).items():
        parts.append(f"<h3>{html.escape(style.title(task))}</h3>")
        parts += [_run(run, page.out) for method in style.order(list(methods)) for run in methods[method]]
    return "\n".join(parts)


def _run(run: Run, out: Path) -> str:
    """A run's block."""
    time = f"{run.seconds / 60:.0f} minutes" if run.seconds >= 120 else f"{run.seconds:.0f} seconds"
    length = f"{run.steps:,} environment steps in {time}" if run.steps else "only evaluated"
    told = [style.label(run.method), f"seed {run.seed}", *([run.model] if run.model else []), length]
    link = quote(os.fsencode(os.path.relpath(run.source, out)))
    origin = yaml.safe_dump(run.provenance, sort_keys=False, allow_unicode=True)
    config = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
    return (
        f"<details><summary>{html.escape(', '.join(told))}{'' if run.finished else ' (unfinished)'}</summary><div>"
        f'<p>Folder: <a href="{link}/">{html.escape(one_line(str(run.source)))}</a></p>'
        f"<h4>Provenance</h4><pre>{html.escape(origin)}</pre><h4>Configuration</h4><pre>{html.escape(config)}</pre></div></details>"
    )


SECTIONS: dict[str, tuple[str | None, Callable[[Page], str]]] = {
    "Learning curves": ("curves", learning_curves),
    "Summary": ("summary", summary),
    "Generalisation": ("generalization", generalization),
    "Language retention": ("retention", retention),
    "Claims of the paper": ("claims", claims),
    "Runs": (None, runs),
}
"""What the page shows, in this order: a heading, the command whose files it is about, and what writes its HTML."""
