"""One page with everything: figures, tables, the ledger of claims, and each run's configuration and origin.

It makes what the other commands make, of the same runs, and shows it: pictures are part of the page, which needs nothing else.

python analysis/report.py multirun --out results
"""

if __name__ == "__main__":  # before the imports that take seconds
    import signals

    signals.install()

import argparse
import html
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import claims
import collection
import commands
import curves
import generalization
import retention
import style
import summary
from report_sections import SECTIONS, Page
from runs import Run
from writing import write

PARTS: dict[str, Callable[[Sequence[Run], argparse.Namespace], list[Path]]] = {
    "curves": curves.make_of,
    "summary": summary.make_of,
    "generalization": generalization.make_of,
    "retention": retention.make_of,
    "claims": claims.make_of,
}
"""The commands whose files the page shows."""


def make(options: argparse.Namespace) -> list[Path]:
    """Make all files and the page; returns the paths. What cannot be made of these runs is left out, with the reason."""
    found = collection.asked(options)
    paths: list[Path] = []
    lacking: dict[str, str] = {}
    for name, make_of in PARTS.items():
        try:
            paths += make_of(found, options)
        except commands.AnalysisError as error:
            lacking[name] = str(error)
            commands.warn(f"the report lacks {name}: {error}")
    page = Page(options.out, [path.name for path in paths], found)
    return [*paths, write(options.out / "report.html", written(page, lacking))]


def written(page: Page, lacking: Mapping[str, str]) -> str:
    """The page's HTML. lacking: why there are no files of a command."""
    anchors = {name: name.lower().replace(" ", "-") for name in SECTIONS}
    sections = []
    for name, (part, section) in SECTIONS.items():
        why = lacking.get(part or "")
        body = f'<p class="soft">{html.escape(commands.one_line(f"Not made: {why}"))}.</p>' if why else section(page)
        sections.append(f'<section id="{anchors[name]}"><h2>{name}</h2>\n{body}</section>')
    body = "\n".join(sections)
    links = "".join(f'<a href="#{anchor}">{name}</a>' for name, anchor in anchors.items())
    styles = (Path(__file__).parent / "report.css").read_text()
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
    """What the page is about, in a sentence or two."""
    tasks = ", ".join(style.title(task).lower() for task in collection.by_task(found))
    methods = ", ".join(style.label(method) for method in style.order(list({run.method for run in found})))
    models = ", ".join(sorted({run.model for run in found} - {""}))
    commits = ", ".join(sorted({str(run.provenance.get("git_commit") or "unknown")[:10] for run in found}))
    acted = f" Language model: {models}." if models else ""
    return f"{len(found)} runs on {tasks}: {methods}.{acted} Git commit: {commits}."


def parser() -> commands.Parser:
    """The command's options: those of all that it makes."""
    made = commands.parser(__doc__)
    commands.add_statistics(made)
    curves.add_options(made)
    generalization.add_options(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return commands.run(parser(), make, arguments)


if __name__ == "__main__":
    sys.exit(main())
