"""The machine's cache: a result is computed once, and again where it cannot be read."""

import pytest

from twosome.storage import cache as storage
from twosome.storage.cache import cached


@pytest.mark.parametrize("damage", [None, "{", '{"key": 3}', "[]"])
def test_a_result_is_computed_once_and_again_where_the_file_is_damaged(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSOME_CACHE", str(tmp_path))
    computed = []
    for attempt in range(3):
        assert cached("kind", {"a": 1}, lambda: computed.append(1) or {"x": 0.1}) == {"x": 0.1}
        if damage and attempt == 0:
            next((tmp_path / "kind").iterdir()).write_text(damage)
    assert len(computed) == (2 if damage else 1)


def test_without_a_home_folder_a_result_is_computed(monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(storage, "cache_root", nowhere)
    assert cached("kind", {}, lambda: 3) == 3


def test_a_result_that_cannot_be_kept_is_there_all_the_same(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TWOSOME_CACHE", str(tmp_path / "file"))
    assert cached("kind", {}, lambda: 3) == 3
    assert capsys.readouterr().err.startswith(f"note: TWOSOME_CACHE={tmp_path / 'file'}: cannot keep results")
