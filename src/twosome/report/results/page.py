"""The HTML page with everything that the other commands made; each section is a function that returns HTML."""

import base64
import html
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

import yaml

from twosome.errors import visible
from twosome.report.data.collection import by_task, ordinary, without_ablations
from twosome.report.data.published import WATCH
from twosome.report.data.run import Run
from twosome.report.output import style
from twosome.report.output.folder import Folder
from twosome.report.output.tables import Table, to_html
from twosome.report.results import notes as curve_notes
from twosome.report.statistics.axes import AXES
from twosome.report.statistics.claims import CONTRADICTED, SUPPORTED


@dataclass(frozen=True)
class Page:
    """What sections are made of: the folder with what the commands wrote, and the runs."""

    out: Folder
    runs: Sequence[Run]

    def figure(self, name: str, caption: str) -> str:
        """Return a picture, with links to it and to the PDF; nothing where it was not made."""
        if not self.out.wrote(f"{name}.png"):
            return ""
        data = base64.b64encode((self.out.path / f"{name}.png").read_bytes()).decode()
        links = f'<a href="{name}.png">PNG</a>, <a href="{name}.pdf">PDF</a>'
        picture = f'<img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">'
        return f"<figure>{picture}<figcaption>{html.escape(caption)} {links}</figcaption></figure>"


def learning_curves(page: Page) -> str:
    """Write the section of learning curves: a row of figures for each x-axis, and how the episodes count."""
    parts, tasks = [], by_task(ordinary(page.runs))
    for axis in AXES.values():
        if page.out.wrote(f"curves{axis.suffix}.csv"):
            parts += [
                f'<h3>Against {axis.label}</h3><div class="figures">',
                page.figure(f"curves_norms{axis.suffix}", "Norms against each other."),
                page.figure(f"curves_baselines{axis.suffix}", "TWOSOME with word norm against the baselines."),
                f'</div><p class="soft">The plotted numbers: <a href="curves{axis.suffix}.csv">curves{axis.suffix}.csv</a>.</p>',
            ]
    remarks = [*curve_notes.counted(tasks), *(note for axis in AXES.values() for note in curve_notes.left_out(tasks, axis))]
    return "".join(parts) + listed(remarks)


def summary(page: Page) -> str:
    """Write the table of methods, task by task."""
    table = page.out.tables["summary"]
    parts = []
    for task, rows in groupby(table.rows, key=lambda row: row[0]):
        parts += [f"<h3>{html.escape(task)}</h3>", to_html(Table("", table.columns[1:], [row[1:] for row in rows], left=1))]
    return "".join(parts) + notes(table) + formats("summary")


def formats(name: str) -> str:
    """Link to a table's files."""
    links = ", ".join(f'<a href="{name}.{suffix}">{suffix}</a>' for suffix in ("csv", "md", "tex"))
    return f'<p class="soft">As {links}.</p>'


def generalization(page: Page) -> str:
    """Write the section of success on tasks that were not trained on: both figures, both tables."""
    parts = [
        '<div class="figures">',
        page.figure("generalization", "Success on the other tasks of the environment."),
        page.figure("transfer", "Success by task trained on and task tested on, and the gain by training."),
        "</div>",
    ]
    return "".join(parts) + titled(page, ("generalization", "transfer", "glam_tests"))


def titled(page: Page, names: Sequence[str]) -> str:
    """Write tables, each under its title, as far as they were made."""
    parts = []
    for name in (each for each in names if each in page.out.tables):
        table = page.out.tables[name]
        parts += [f"<h3>{html.escape(table.title)}</h3>", to_html(table), notes(table), formats(name)]
    return "".join(parts)


def retention(page: Page) -> str:
    """Write the section of what the language model still knows: figures, and the tables of benchmarks and drift."""
    parts = [
        '<div class="figures">',
        page.figure("retention", "Accuracy of the language model before and after training."),
        page.figure("forgetting", "Drift from the base model over training."),  # of runs that were probed during training only
        "</div>",
    ]
    return "".join(parts) + titled(page, ("retention", "drift"))


def ablations(page: Page) -> str:
    """Write the section of ablations: of each the question, what was found, the figures and the table."""
    parts = []
    for name, table in page.out.tables.items():
        if name.startswith("ablations/"):
            figures = (
                page.figure(name, f"{table.title}: what each value reached."),
                page.figure(f"{name}_curves", "Learning curves."),
            )
            parts += [f"<h3>{html.escape(table.title)}</h3>", f"<p>{html.escape(table.lead[0])}</p>", listed(table.lead[1:])]
            parts += [f'<div class="figures">{"".join(figures)}</div>', to_html(table), notes(table), formats(name)]
    return "".join(parts)


def notes(table: Table) -> str:
    """Write a table's notes as a list."""
    return listed(table.notes)


def listed(sentences: Sequence[str]) -> str:
    """Write notes as a list."""
    return '<ul class="notes">' + "".join(f"<li>{html.escape(note)}</li>" for note in sentences) + "</ul>" if sentences else ""


def claims(page: Page) -> str:
    """Write the ledger: a heading per claim with its verdict, and its tests below."""
    table = page.out.tables["claims"]
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
    """Write a verdict as a pill, and what is missing behind it."""
    word, _, why = text.partition(": ")
    kind = word if word in (SUPPORTED, CONTRADICTED) else "open"
    return f'<span class="verdict {kind}">{html.escape(word)}</span> {html.escape(why)}'.rstrip()


def runs(page: Page) -> str:
    """Write each run's origin and configuration, folded away."""
    parts = []
    for task, methods in by_task(page.runs).items():
        parts.append(f"<h3>{html.escape(style.title(task))}</h3>")
        parts.append(watch([run for method in methods.values() for run in method], page.out.path))
        parts += [_run(run, page.out.path) for method in style.order(list(methods)) for run in methods[method]]
    return "\n".join(parts)


def watch(found: Sequence[Run], out: Path) -> str:
    """Link to the pages of src/watch.py that lie beside runs of a task, in the folder WATCH; nothing where there are none."""
    pages = {run.source / WATCH / f"{run.config['env'].get('task')}.html" for run in found}
    links = [quote(os.fsencode(os.path.relpath(page, out))) for page in sorted(pages) if page.is_file()]
    return "".join(f'<p><a href="{link}">Watch a trained agent decide</a></p>' for link in links)


def _run(run: Run, out: Path) -> str:
    """Write a run's block."""
    time = f"{run.seconds / 60:.0f} minutes" if run.seconds >= 120 else f"{run.seconds:.0f} seconds"
    length = f"{run.steps:,} environment steps in {time}" if run.steps else "only evaluated"
    summary = [style.label(run.method), f"seed {run.seed}", *([run.model] if run.model else []), length]
    link = quote(os.fsencode(os.path.relpath(run.source, out)))
    origin = yaml.safe_dump(run.provenance, sort_keys=False, allow_unicode=True)
    config = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
    return (
        f"<details><summary>{html.escape(', '.join(summary))}{'' if run.finished else ' (unfinished)'}</summary><div>"
        f'<p>Folder: <a href="{link}/">{html.escape(visible(str(run.source)))}</a></p>'
        f"<h4>Provenance</h4><pre>{html.escape(origin)}</pre><h4>Configuration</h4><pre>{html.escape(config)}</pre></div></details>"
    )


SECTIONS: dict[str, tuple[str | None, Callable[[Page], str]]] = {
    "Learning curves": ("curves", learning_curves),
    "Summary": ("summary", summary),
    "Generalisation": ("generalization", generalization),
    "Language retention": ("retention", retention),
    "Ablations": ("ablations", ablations),
    "Claims of the papers": ("claims", claims),
    "Runs": (None, runs),
}
"""What the page shows, in this order: a heading, the command whose files it is about, and what writes its HTML."""


def written(page: Page, lacking: Mapping[str, str], styles: str) -> str:
    """Write the whole page. lacking: by command, why there are no files of it. styles: CSS."""
    anchors = {name: name.lower().replace(" ", "-") for name in SECTIONS}
    sections = []
    for name, (part, section) in SECTIONS.items():
        why = lacking.get(part or "")
        body = f'<p class="soft">{html.escape(visible(f"Not made: {why}"))}.</p>' if why else section(page)
        sections.append(f'<section id="{anchors[name]}"><h2>{name}</h2>\n{body}</section>')
    body = "\n".join(sections)
    links = "".join(f'<a href="#{anchor}">{name}</a>' for name, anchor in anchors.items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>twosome-suite: results</title>
<style>
{styles}</style></head>
<body><header><h1>What a language model learns by acting</h1>
<p>{html.escape(overview(page.runs))}</p><nav>{links}</nav></header>
<main>
{body}
</main>
<footer>Written by <code>python analysis/report.py</code>; every number is made from the runs listed above.</footer>
</body></html>
"""


def overview(found: Sequence[Run]) -> str:
    """Say what the page is about, in a sentence or two."""
    runs = without_ablations(found) or found
    tasks = ", ".join(style.title(task).lower() for task in by_task(runs))
    methods = ", ".join(style.label(method) for method in style.order(sorted({run.method for run in runs})))
    models = ", ".join(sorted({run.model for run in found} - {""}))
    commits = ", ".join(sorted({str(run.provenance.get("git_commit") or "unknown")[:10] for run in found}))
    acted = f" Language model: {models}." if models else ""
    more = f" And {len(found) - len(runs)} runs of ablations." if len(found) > len(runs) else ""
    return f"{len(runs)} runs on {tasks}: {methods}.{more}{acted} Git commit: {commits}."
