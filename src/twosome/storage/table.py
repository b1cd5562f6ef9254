"""The tables of a run's folder, to which training appends rows."""

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twosome.errors import RunError


class Table:
    """A CSV file to which sets of rows are appended, with one write per set. Memory and time do not grow with the table.

    A set that cannot be written completely is removed again. A partial row of a killed process is not counted when the file is
    opened next, and the next `truncate` removes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = sum(line.endswith(b"\n") for line in path.open("rb")) if path.exists() else 0

    def __len__(self) -> int:
        """Return the number of rows, without the header."""
        return max(0, self.lines - 1)

    def extend(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows. The first row of the table names its columns.

        Raises RunError: another row has other columns. Their order may differ.
        """
        written = list(rows)
        if not written:
            return
        columns = self._columns() or list(written[0])
        lines = [] if self.lines else [_line(columns)]
        for row in written:
            if row.keys() != set(columns):
                raise RunError(
                    f"{self.path}: a row has other columns than the first one: {', '.join(sorted(row.keys() ^ set(columns)))}; "
                    "an algorithm returns the same metrics in every update"
                )
            lines.append(_line(row[column] for column in columns))
        self._append("".join(lines).encode())
        self.lines += len(lines)

    def _columns(self) -> list[str]:
        """Return the names in the header; none if there is no header."""
        if not self.lines:
            return []
        with self.path.open(newline="") as file:
            return next(csv.reader(file))

    def truncate(self, rows: int) -> None:
        """Remove all rows after the first ``rows``."""
        self.lines = min(self.lines, rows + 1) if rows else 0
        if self.lines:
            with self.path.open("r+b") as file:
                file.truncate(sum(len(file.readline()) for _ in range(self.lines)))
        else:
            self.path.unlink(missing_ok=True)

    def _append(self, content: bytes) -> None:
        whole = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:  # a full disk, Ctrl-C
            with contextlib.suppress(OSError):
                os.truncate(self.path, whole) if whole else self.path.unlink(missing_ok=True)
            raise


def _line(values: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()
