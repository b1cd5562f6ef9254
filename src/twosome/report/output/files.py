"""Write tables and figures; the same content gives the same bytes."""

import io
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from twosome.files import write_atomic

DPI = 200


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
