"""One table as Markdown, LaTeX and HTML. The Markdown can be read back, which is how the report gets its tables."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from twosome.report.output.files import write, write_csv

NONE = "—"
"""What a cell without a value shows."""
LATEX = {"\\": r"\textbackslash{}", "≥": r"$\ge$", NONE: "---", "±": r"$\pm$", ">": "$>$", "<": "$<$"}
LATEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


@dataclass(frozen=True)
class Table:
    """Cells as they are shown. notes: sentences below the table. left: how many columns are words, the others being numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple)
    left: int = 2


def write_table(stem: Path, table: Table, data: pd.DataFrame, latex: bool = True) -> list[Path]:
    """Write the table beside its unrounded numbers: .md, .csv and, if asked for, .tex; returns the paths."""
    paths = [write(stem.with_suffix(".md"), markdown(table)), write_csv(stem.with_suffix(".csv"), data)]
    return [*paths, write(stem.with_suffix(".tex"), to_latex(table))] if latex else paths


def markdown(table: Table) -> str:
    """A heading, the table, and the notes as a list."""
    rules = [":--"] * table.left + ["--:"] * (len(table.columns) - table.left)
    lines = [_row(table.columns), f"|{'|'.join(rules)}|", *map(_row, table.rows)]
    return "\n".join([f"## {table.title}", "", *lines, "", *(f"- {note}" for note in table.notes)]).rstrip() + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def read_markdown(text: str) -> Table:
    """The table that markdown() wrote."""
    lines = text.splitlines()
    head, rules, *rows = (re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|"))
    return Table(
        title=lines[0].removeprefix("## "),
        columns=_cells(head),
        rows=[_cells(row) for row in rows],
        notes=[line.removeprefix("- ") for line in lines if line.startswith("- ")],
        left=rules.count(":--"),
    )


def _cells(row: Iterable[str]) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in row]


def to_latex(table: Table) -> str:
    """A tabular with booktabs' rules, the notes as comments."""
    kinds = "l" * table.left + "r" * (len(table.columns) - table.left)
    lines = [f"% {table.title}", *(f"% {note}" for note in table.notes), f"\\begin{{tabular}}{{{kinds}}}", r"\toprule"]
    body = [" & ".join(map(_escaped, row)) + r" \\" for row in (table.columns, *table.rows)]
    return "\n".join([*lines, body[0], r"\midrule", *body[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


def _escaped(cell: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in cell)


def to_html(table: Table) -> str:
    """A table that scrolls sideways where the page is narrower; without title and notes."""
    kinds = ["words"] * table.left + ["number"] * (len(table.columns) - table.left)

    head = "".join(f'<th class="{kind}">{html.escape(name)}</th>' for kind, name in zip(kinds, table.columns, strict=True))

    def row(cells: Sequence[str]) -> str:
        named = zip(kinds, table.columns, cells, strict=True)  # the column's name, for narrow pages that stack the cells
        shown = (f'<td class="{k}" data-column="{html.escape(name)}">{html.escape(cell)}</td>' for k, name, cell in named)
        return f"<tr>{''.join(shown)}</tr>"

    rows = "\n".join(map(row, table.rows))
    table_body = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>"
    return f'<div class="scroll" tabindex="0"><table>\n{table_body}\n</table></div>\n'


def number(value: float, digits: int = 2) -> str:
    """A number with so many decimals."""
    return NONE if pd.isna(value) else f"{value:.{digits}f}"


def bracketed(values: Sequence[float], digits: int = 2) -> str:
    """A number with its interval, if it has one. values: the number, the interval's ends."""
    center, low, high = values
    return number(center, digits) + ("" if pd.isna(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")
