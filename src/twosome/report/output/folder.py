"""A folder of results: writes figures and tables into it, and keeps what was written."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from twosome.files import write_atomic
from twosome.report.output import files
from twosome.report.output.tables import Table, to_latex, to_markdown


class Folder:
    """Writes results into a folder. paths: the files written so far. tables: those written so far, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.paths: list[Path] = []
        self.tables: dict[str, Table] = {}

    def text(self, name: str, content: str) -> None:
        """Write a text file."""
        self.paths.append(write_atomic(self._place(name), content))

    def csv(self, name: str, data: pd.DataFrame) -> None:
        """Write name.csv."""
        self.paths.append(files.write_csv(self._place(f"{name}.csv"), data))

    def table(self, name: str, table: Table, latex: bool = True) -> None:
        """Write name.md, name.csv and, unless switched off, name.tex."""
        self.text(f"{name}.md", to_markdown(table))
        self.csv(name, table.data)
        if latex:
            self.text(f"{name}.tex", to_latex(table))
        self.tables[name] = table

    def figure(self, name: str, figure: Figure) -> None:
        """Write name.png and name.pdf."""
        self.paths += files.write_figure(self._place(name), figure)

    def wrote(self, name: str) -> bool:
        """Return whether a file of this name was written."""
        return self.path / name in self.paths

    def _place(self, name: str) -> Path:
        """Return the path of a file in a folder that may be written into; name may have a folder in front. Raises UserError."""
        path = self.path / name
        files.claim(path.parent, files.FIGURES)
        return path
