"""Write files atomically; the same content gives the same bytes."""

import io
import os
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

DPI = 200


def write(path: Path, content: str | bytes) -> Path:
    """Write a file so that a reader sees the old content or the new, never a part; returns the path.

    Raises OSError that names the path, where it is not written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content.encode() if isinstance(content, str) else content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    return path


def write_csv(path: Path, table: pd.DataFrame) -> Path:
    """Write a table as CSV; floats keep six significant digits."""
    return write(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def write_figure(stem: Path, figure: Figure) -> list[Path]:
    """Write a figure as PNG and PDF, without the date and the program's version."""
    paths = []
    for suffix, silent in ((".png", ("Software",)), (".pdf", ("Creator", "Producer", "CreationDate"))):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], dpi=DPI, metadata=dict.fromkeys(silent))
        paths.append(write(stem.with_suffix(suffix), buffer.getvalue()))
    return paths
