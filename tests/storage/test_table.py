"""Tables that grow: whole sets of rows, whatever happens, at a cost that does not grow."""

import errno
import os
from pathlib import Path

import pytest

from twosome.errors import RunError
from twosome.storage.folder import Table

ROWS = [{"update": number, "return": number / 2} for number in range(5)]
LINES = ["update,return\n", *(f"{number},{number / 2}\n" for number in range(5))]


def written(folder: Path, rows: int) -> Table:
    table = Table(folder / "metrics.csv")
    for row in ROWS[:rows]:
        table.extend([row])
    return table


def test_rows_are_added_below_one_header(tmp_path: Path) -> None:
    table = written(tmp_path, 2)
    table.extend([])
    table.extend(ROWS[2:4])
    assert table.path.read_text() == "".join(LINES[:5])
    again = Table(table.path)
    again.extend(ROWS[4:])
    assert table.path.read_text() == "".join(LINES)
    assert (len(table), len(again)) == (4, 5)


@pytest.mark.parametrize("rows", [0, 1, 3, 7])
def test_later_rows_are_taken_back(tmp_path: Path, rows: int) -> None:
    table = written(tmp_path, 3)
    table.truncate(rows)
    assert len(table) == min(rows, 3)
    assert table.path.exists() == (rows > 0)
    table.extend(ROWS[min(rows, 3) :])
    assert table.path.read_text() == "".join(LINES)


@pytest.mark.parametrize("cut", [1, 5, len(LINES[-1])])
def test_the_part_of_a_row_that_a_kill_left_is_taken_away(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path, 5).path
    os.truncate(path, path.stat().st_size - cut)
    table = Table(path)
    assert len(table) == 4
    table.truncate(4)
    table.extend(ROWS[4:])
    assert path.read_text() == "".join(LINES)


def test_nothing_of_a_table_that_a_kill_left_without_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("update,ret")
    table = Table(path)
    assert len(table) == 0
    table.truncate(0)
    table.extend(ROWS)
    assert path.read_text() == "".join(LINES)


@pytest.mark.parametrize("before", [0, 3])
def test_rows_that_do_not_fit_the_disk_leave_no_part(tmp_path: Path, before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = written(tmp_path, before)

    def full(file: int) -> None:  # by then all of it, or a part, is in the file
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            table.extend(ROWS[before:])
    assert table.path.exists() == (before > 0)
    table.extend(ROWS[before:])
    assert table.path.read_text() == "".join(LINES)


def test_a_row_costs_the_same_however_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(tmp_path / "metrics.csv")
    for _ in range(200):
        table.extend(ROWS)
    monkeypatch.setattr(Path, "read_text", None)
    monkeypatch.setattr(Path, "read_bytes", None)
    inode = table.path.stat().st_ino
    table.extend(ROWS)
    assert table.path.stat().st_ino == inode  # not a new file
    assert vars(table).keys() == {"path", "lines"}
    assert len(table) == 1005


def test_values_stand_below_their_names_whatever_their_order(tmp_path: Path) -> None:
    table = written(tmp_path, 1)
    table.extend([{"return": 0.5, "update": 1}])
    Table(table.path).extend([{"return": 1.0, "update": 2}])
    assert table.path.read_text() == "".join(LINES[:4])


@pytest.mark.parametrize("row", [{"update": 1}, {"update": 1, "return": 0.5, "loss": 2.0}])
def test_a_row_with_other_columns_is_refused(row: dict[str, float], tmp_path: Path) -> None:
    table = written(tmp_path, 1)
    with pytest.raises(RunError, match=r"other columns than the first one: (return|loss);"):
        table.extend([row])
    assert table.path.read_text() == "".join(LINES[:2])
