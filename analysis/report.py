"""One page with everything: figures, tables, the ledger of claims, and each run's configuration and origin.

It makes what the other commands make, of the same runs, and shows it: pictures are part of the page, which needs nothing else.

Example: python analysis/report.py multirun --out results
"""

import base64
import os
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from jinja2 import Environment, FileSystemLoader

import ablations
import claims
import curves
import generalization
import retention
import summary
from twosome.errors import UserError, visible
from twosome.report import style
from twosome.report.commands import STATISTICS, Command, Given
from twosome.report.output import warn
from twosome.report.runs import Run, by_task
from twosome.report.statistics import AXES

HERE = Path(__file__).parent
PARTS = {part.__name__: part.make_of for part in (curves, summary, generalization, retention, ablations, claims)}
"""The commands whose files the page shows."""


def make_of(given: Given) -> None:
    """Make all files and the page of runs that were read. What cannot be made of these is left out, with the reason."""
    runs, out = given.runs, given.out
    lacking: dict[str, str] = {}
    for name, part in PARTS.items():
        try:
            part(given)
        except UserError as error:
            lacking[name] = visible(str(error))
            warn(f"the report lacks {name}: {error}")

    def page_of(run: Run) -> Path:
        """Return where src/watch.py puts a page that shows a run's agent at work."""
        return run.source / "watch" / f"{run.config['env'].get('task')}.html"

    page = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True)
    filters: dict[str, Callable[[Any], Any]] = {
        "visible": lambda text: visible(str(text)),
        "link": lambda path: quote(os.fsencode(os.path.relpath(path, out.path))),
        "yaml": lambda content: yaml.safe_dump(content, sort_keys=False, allow_unicode=True),
        "picture": lambda name: base64.b64encode((out.path / f"{name}.png").read_bytes()).decode(),
        "blocks": lambda rows: [(first, list(block)) for first, block in groupby(rows, key=lambda row: row[0])],
        "describe": _described,
        "watched": lambda run: page_of(run) if page_of(run).is_file() else None,
    }
    page.filters |= filters
    tasks = {
        style.title(task): [run for method in style.order(list(methods)) for run in methods[method]]
        for task, methods in by_task(runs).items()
    }
    values = {"about": _about(runs), "tasks": tasks, "axes": AXES.values(), "lacking": lacking, "out": out}
    out.text("report.html", page.get_template("report.html").render(styles=(HERE / "report.css").read_text(), **values))


def _about(found: Sequence[Run]) -> str:
    """Say what the page is about, in a sentence or two."""
    runs = [run for run in found if not run.ablated] or found
    tasks = ", ".join(style.title(task).lower() for task in by_task(runs))
    methods = ", ".join(style.label(method) for method in style.order(sorted({run.method for run in runs})))
    models = ", ".join(sorted({run.model for run in found} - {""}))
    commits = ", ".join(sorted({str(run.provenance.get("git_commit") or "unknown")[:10] for run in found}))
    acted = f" Language model: {models}." if models else ""
    more = f" And {len(found) - len(runs)} runs of ablations." if len(found) > len(runs) else ""
    return f"{len(runs)} runs on {tasks}: {methods}.{more}{acted} Git commit: {commits}."


def _described(run: Run) -> str:
    """Describe a run in a line."""
    time = f"{run.seconds / 60:.0f} minutes" if run.seconds >= 120 else f"{run.seconds:.0f} seconds"
    length = f"{run.steps:,} environment steps in {time}" if run.steps else "only evaluated"
    said = [style.label(run.method), f"seed {run.seed}", *([run.model] if run.model else []), length]
    return ", ".join(said) + ("" if run.finished else " (unfinished)")


command = Command(__file__, __doc__, make_of, *STATISTICS, "ablations", "no-paper", "mode", "method")
main = command.main

if __name__ == "__main__":
    sys.exit(main())
