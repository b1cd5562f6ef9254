"""Write tables and figures into folders of their own; the same content gives the same bytes."""

import io
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from twosome.errors import UserError
from twosome.files import write_atomic

DPI = 200
FIGURES, PUBLISHED = ".figures_of_twosome", ".published_by_twosome"
"""Files that mark a folder as written by the commands of analysis/: by publish.py, and by the others."""


def check_own(folder: Path, mark: str) -> None:
    """Raise UserError where a folder has files and no mark. Folders in it do not count: nothing is written into them."""
    if folder.is_dir() and not (folder / mark).is_file() and (files := [each for each in folder.iterdir() if not each.is_dir()]):
        raise UserError(
            f"--out {folder}: holds {min(files).name}, which this command did not write; expected a folder that is new, has no "
            "files, or was written by it before; name another"
        )


def claim(folder: Path, mark: str) -> None:
    """Mark a folder before the first file is written into it. Raises UserError as check_own does."""
    check_own(folder, mark)
    if not (folder / mark).is_file():
        write_atomic(
            folder / mark,
            "A command of analysis/ wrote this folder's files, and replaces them when it runs again.\n",
            parents=True,
        )


def write_csv(path: Path, table: pd.DataFrame) -> Path:
    """Write a table as CSV; floats keep six significant digits."""
    return write_atomic(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"), parents=True)


def write_figure(stem: Path, figure: Figure) -> list[Path]:
    """Write a figure as PNG and PDF, without the date and the program's version."""
    paths = []
    for suffix, silent in ((".png", ("Software",)), (".pdf", ("Creator", "Producer", "CreationDate"))):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], dpi=DPI, metadata=dict.fromkeys(silent))
        paths.append(write_atomic(stem.with_suffix(suffix), buffer.getvalue(), parents=True))
    return paths
