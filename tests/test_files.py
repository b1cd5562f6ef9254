"""Files are written whole or not at all."""

import os

import pytest

from twosome.files import write_atomic


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "new" / "file"
    assert write_atomic(path, "old", parents=True) == path
    reader = path.open()
    write_atomic(path, "new ü".encode())
    assert (reader.read(), path.read_text()) == ("old", "new ü")
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_file_and_is_named(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_atomic(path, "new")
    assert error.value.filename == str(path)
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])
