"""One page with everything: figures, tables, the ledger of claims, and each run's configuration and origin.

It shows what the other commands wrote into --out, and needs nothing else: pictures are part of the file.

python analysis/report.py multirun --out results
"""

if __name__ == "__main__":  # before the imports that take seconds
    import signals

    signals.install()

import argparse
import base64
import html
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

import yaml

import collection
import commands
import style
from ledger import CONTRADICTED, SUPPORTED
from runs import Run
from tables import Table, read_markdown, to_html
from writing import write


@dataclass(frozen=True)
class Page:
    """What sections are made of.

    out: where the other commands wrote. runs: all of them. folders: where they were found, as the command line says.
    """

    out: Path
    runs: Sequence[Run]
    folders: Sequence[Path]

    def missing(self, name: str, script: str) -> str:
        """What stands in the place of a file that is not there."""
        command = f"python analysis/{script}.py {' '.join(map(str, self.folders))} --out {self.out}"
        commands.warn(f"{self.out / name}: not there, so the report lacks it; make it with {command}")
        return f'<p class="soft">Not made yet: <code>{html.escape(command)}</code> writes {html.escape(name)}.</p>'

    def figure(self, name: str, script: str, caption: str) -> str:
        """A picture, with links to it and to the PDF."""
        file = self.out / f"{name}.png"
        if not file.exists():
            return self.missing(file.name, script)
        data = base64.b64encode(file.read_bytes()).decode()
        links = f'<a href="{name}.png">PNG</a>, <a href="{name}.pdf">PDF</a>'
        picture = f'<img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">'
        return f"<figure>{picture}<figcaption>{html.escape(caption)} {links}</figcaption></figure>"

    def table(self, name: str, script: str) -> Table | str:
        """A table that a script wrote, or what stands in its place."""
        file = self.out / f"{name}.md"
        return read_markdown(file.read_text()) if file.exists() else self.missing(file.name, script)


def curves(page: Page) -> str:
    """The learning curves."""
    return (
        '<div class="figures">'
        + page.figure("curves_norms", "curves", "Norms against each other: discounted return of the training episodes.")
        + page.figure("curves_baselines", "curves", "TWOSOME with word norm against the baselines.")
        + '</div><p class="soft">The plotted numbers: <a href="curves.csv">curves.csv</a>.</p>'
    )


def summary(page: Page) -> str:
    """The table of methods, task by task."""
    table = page.table("summary", "summary")
    if isinstance(table, str):
        return table
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
        page.figure("generalization", "generalization", "Success on the other tasks of the environment."),
        page.figure("transfer", "generalization", "Success by task trained on and task tested on, and the gain by training."),
        "</div>",
    ]
    return "".join(parts) + titled(page, ("generalization", "transfer"), "generalization")


def titled(page: Page, names: Sequence[str], script: str) -> str:
    """Tables that a script wrote, each under its title."""
    parts = []
    for name in names:
        table = page.table(name, script)
        if isinstance(table, str):
            parts.append(table)
        else:
            parts += [f"<h3>{html.escape(table.title)}</h3>", to_html(table), notes(table), formats(name)]
    return "".join(parts)


def retention(page: Page) -> str:
    """What the language model still knows: figures, and the tables of benchmarks and drift."""
    parts = [
        '<div class="figures">',
        page.figure("retention", "retention", "Accuracy of the language model before and after training."),
        page.figure("forgetting", "retention", "Drift from the base model over training.")
        if (page.out / "forgetting.png").exists()
        else "",  # of runs that were probed during training only
        "</div>",
    ]
    return "".join(parts) + titled(page, ("retention", "drift"), "retention")


def notes(table: Table) -> str:
    """A table's notes as a list."""
    return '<ul class="notes">' + "".join(f"<li>{html.escape(note)}</li>" for note in table.notes) + "</ul>"


def claims(page: Page) -> str:
    """The ledger: a heading per claim with its verdict, and its tests below."""
    table = page.table("claims", "claims")
    if isinstance(table, str):
        return table
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
    link = quote(os.path.relpath(run.source, out))
    origin = yaml.safe_dump(run.provenance, sort_keys=False, allow_unicode=True)
    config = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
    return (
        f"<details><summary>{html.escape(', '.join(told))}{'' if run.finished else ' (unfinished)'}</summary><div>"
        f'<p>Folder: <a href="{link}/">{html.escape(str(run.source))}</a></p>'
        f"<h4>Provenance</h4><pre>{html.escape(origin)}</pre><h4>Configuration</h4><pre>{html.escape(config)}</pre></div></details>"
    )


SECTIONS: dict[str, Callable[[Page], str]] = {
    "Learning curves": curves,
    "Summary": summary,
    "Generalisation": generalization,
    "Language retention": retention,
    "Claims of the paper": claims,
    "Runs": runs,
}
"""What the page shows, in this order: a heading and what writes its HTML."""


def make(options: argparse.Namespace) -> list[Path]:
    """Write the page; returns its path."""
    found = collection.read(options.runs, options.seeds, options.unfinished)
    page = Page(options.out, found, options.runs)
    anchors = {name: name.lower().replace(" ", "-") for name in SECTIONS}
    body = "\n".join(
        f'<section id="{anchors[name]}"><h2>{name}</h2>\n{section(page)}</section>' for name, section in SECTIONS.items()
    )
    links = "".join(f'<a href="#{anchor}">{name}</a>' for name, anchor in anchors.items())
    styles = (Path(__file__).parent / "report.css").read_text()
    text = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>twosome-suite: results</title>
<style>
{styles}</style></head>
<body><header><h1>What a language model learns by acting</h1>
<p>{html.escape(overview(found))}</p><nav>{links}</nav></header>
<main>
{body}
</main>
<footer>Written by <code>python analysis/report.py</code>; every number is made from the runs listed above.</footer>
</body></html>
"""
    return [write(options.out / "report.html", text)]


def overview(found: Sequence[Run]) -> str:
    """What the page is about, in a sentence or two."""
    tasks = ", ".join(style.title(task).lower() for task in collection.by_task(found))
    methods = ", ".join(style.label(method) for method in style.order(list({run.method for run in found})))
    models = ", ".join(sorted({run.model for run in found} - {""}))
    commits = ", ".join(sorted({str(run.provenance.get("git_commit") or "unknown")[:10] for run in found}))
    acted = f" Language model: {models}." if models else ""
    return f"{len(found)} runs on {tasks}: {methods}.{acted} Git commit: {commits}."


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return commands.run(commands.parser(__doc__), make, arguments)


if __name__ == "__main__":
    sys.exit(main())
