"""Tables as Markdown, LaTeX and CSV, and the folder into which results are written; the same content gives the same bytes."""

import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from matplotlib.figure import Figure

from twosome.errors import UserError, visible
from twosome.files import write_atomic

DPI = 200
FIGURES, PUBLISHED = ".figures_of_twosome", ".published_by_twosome"
"""Files that mark a folder as written by the commands of analysis/: by publish.py, and by the others."""
NOTES: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("notes.yaml").read_text(encoding="utf-8"))
NONE = "—"  # text of a cell without a value
LATEX = {"\\": r"\textbackslash{}", "≥": r"$\ge$", NONE: "---", "±": r"$\pm$", ">": "$>$", "<": "$<$"}
LATEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


def warn(message: str) -> None:
    """Print a warning that the reader of a figure needs."""
    print(f"warning: {visible(message)}", file=sys.stderr)


def notes(table: str, **words: Any) -> list[str]:
    """Return the notes of a table, of notes.yaml, with words in place of the names in braces."""
    return [text.format(**words) for text in NOTES[table]]


def latest(evaluations: str) -> list[str]:
    """Return a table's note where --evaluations is not the default."""
    return notes("evaluations latest") if evaluations == "latest" else []


@dataclass(frozen=True)
class Table:
    """Cells as they are shown, and the unrounded numbers behind them.

    lead, notes: sentences above and below the table. left: number of columns with words; the others have numbers. data: written
    as CSV.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    left: int = 2
    data: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)
    lead: Sequence[str] = ()

    @classmethod
    def of(cls, title: str, cells: Sequence[Mapping[str, str]], notes: Sequence[str], **others: Any) -> "Table":
        """Make a table of rows that are mappings from column to cell; one at least."""
        return cls(title, list(cells[0]), [list(row.values()) for row in cells], notes, **others)


def to_markdown(table: Table) -> str:
    """Write a heading, the lead as paragraphs, the table, and the notes as a list."""
    rules = [":--"] * table.left + ["--:"] * (len(table.columns) - table.left)
    cells = [" | ".join(cell.replace("|", r"\|") for cell in row) for row in (table.columns, *table.rows)]
    head, *body = (f"| {row} |" for row in cells)
    lead = [line for each in table.lead for line in (each, "")]
    lines = [f"## {table.title}", "", *lead, head, f"|{'|'.join(rules)}|", *body, "", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines).rstrip() + "\n"


def to_latex(table: Table) -> str:
    """Write a tabular with booktabs' rules, the notes as comments."""
    kinds = "l" * table.left + "r" * (len(table.columns) - table.left)
    comments = [f"% {text}" for text in (table.title, *table.lead, *table.notes)]
    escaped = [["".join(LATEX.get(letter, letter) for letter in cell) for cell in row] for row in (table.columns, *table.rows)]
    head, *body = (" & ".join(row) + r" \\" for row in escaped)
    rows = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*comments, *rows]) + "\n"


def number(value: float, digits: int = 2) -> str:
    """Show a number with so many decimals."""
    return NONE if pd.isna(value) else f"{value:.{digits}f}"


def bracketed(values: Sequence[float], digits: int = 2) -> str:
    """Show a number with its interval, if it has one. values: the number, the interval's ends."""
    center, low, high = values
    return number(center, digits) + ("" if pd.isna(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")


def by_seed(joined: str, form: str) -> str:
    """Show the numbers of all seeds. joined: numbers with spaces between them."""
    return " ".join(format(float(value), form) for value in joined.split())


class Folder:
    """Writes results into a folder that is new, has no files, or was written by such a command before.

    mark: name of the file that says so. paths: the files written so far. tables: those written so far, by name. Raises UserError
    where a folder has other files; folders in it do not count.
    """

    def __init__(self, path: Path, mark: str = FIGURES) -> None:
        self.path, self.mark = path, mark
        self.paths: list[Path] = []
        self.tables: dict[str, Table] = {}
        self._check(path)

    def text(self, name: str, content: str | bytes) -> None:
        """Write a file. name: of the file, possibly with a folder in front."""
        path = self.path / name
        self._check(path.parent)
        if not (path.parent / self.mark).is_file():
            owned = "A command of analysis/ wrote this folder's files, and replaces them when it runs again.\n"
            write_atomic(path.parent / self.mark, owned, parents=True)
        self.paths.append(write_atomic(path, content))

    def csv(self, name: str, data: pd.DataFrame) -> None:
        """Write name.csv; floats keep six significant digits."""
        self.text(f"{name}.csv", data.to_csv(index=False, float_format="%.6g", lineterminator="\n"))

    def table(self, name: str, table: Table, latex: bool = True) -> None:
        """Write name.md, name.csv and, unless switched off, name.tex."""
        self.text(f"{name}.md", to_markdown(table))
        self.csv(name, table.data)
        if latex:
            self.text(f"{name}.tex", to_latex(table))
        self.tables[name] = table

    def figure(self, name: str, figure: Figure) -> None:
        """Write name.png and name.pdf, without the date and the program's version."""
        for kind, silent in (("png", ("Software",)), ("pdf", ("Creator", "Producer", "CreationDate"))):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=dict.fromkeys(silent))
            self.text(f"{name}.{kind}", buffer.getvalue())

    def wrote(self, name: str) -> bool:
        """Return whether a file of this name was written."""
        return self.path / name in self.paths

    def _check(self, folder: Path) -> None:
        if folder.is_dir() and not (folder / self.mark).is_file():
            files = sorted(path.name for path in folder.iterdir() if not path.is_dir())
            if files:
                raise UserError(f"--out {folder}: expected a folder that is new or that this command wrote; it has {files[0]}")
