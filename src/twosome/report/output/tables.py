"""One table as Markdown, LaTeX, HTML and, of its numbers, CSV."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

NONE = "—"
"""What a cell without a value shows."""
LATEX = {"\\": r"\textbackslash{}", "≥": r"$\ge$", NONE: "---", "±": r"$\pm$", ">": "$>$", "<": "$<$"}
LATEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


@dataclass(frozen=True)
class Table:
    """Cells as they are shown, and the unrounded numbers behind them.

    lead, notes: sentences above and below the table. left: how many columns are words; the others are numbers. data: what is
    written as CSV.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    left: int = 2
    data: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)
    lead: Sequence[str] = ()


def to_markdown(table: Table) -> str:
    """Write a heading, the lead as paragraphs, the table, and the notes as a list."""
    rules = [":--"] * table.left + ["--:"] * (len(table.columns) - table.left)
    lines = [_row(table.columns), f"|{'|'.join(rules)}|", *map(_row, table.rows)]
    return (
        "\n".join(
            [
                f"## {table.title}",
                "",
                *(line for each in table.lead for line in (each, "")),
                *lines,
                "",
                *(f"- {note}" for note in table.notes),
            ]
        ).rstrip()
        + "\n"
    )


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def to_latex(table: Table) -> str:
    """Write a tabular with booktabs' rules, the notes as comments."""
    kinds = "l" * table.left + "r" * (len(table.columns) - table.left)
    lines = [
        f"% {table.title}",
        *(f"% {note}" for note in (*table.lead, *table.notes)),
        f"\\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
    ]
    body = [" & ".join(map(_escaped, row)) + r" \\" for row in (table.columns, *table.rows)]
    return "\n".join([*lines, body[0], r"\midrule", *body[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


def _escaped(cell: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in cell)


def to_html(table: Table) -> str:
    """Write a table that scrolls sideways where the page is narrower; without title and notes."""
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
    """Show a number with so many decimals."""
    return NONE if pd.isna(value) else f"{value:.{digits}f}"


def bracketed(values: Sequence[float], digits: int = 2) -> str:
    """Show a number with its interval, if it has one. values: the number, the interval's ends."""
    center, low, high = values
    return number(center, digits) + ("" if pd.isna(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")
