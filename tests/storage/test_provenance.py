"""Where a run's numbers come from."""

import subprocess

import pytest

from twosome.storage import provenance


@pytest.mark.parametrize("tracked", [True, False])
def test_the_commit_is_the_suites_and_not_that_of_a_repository_around_it(tracked, tmp_path, monkeypatch):
    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=it", "-c", "user.email=it", *words], cwd=tmp_path, check=True, capture_output=True
        )

    (tmp_path / "provenance.py").touch()
    git("init")
    git("add", *(["provenance.py"] if tracked else []))
    git("commit", "--allow-empty", "-m", "one")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    found = provenance.provenance(0, {})
    assert (found["git_commit"] is not None, found["git_changes"]) == (tracked, False)
    (tmp_path / "provenance.py").write_text("# changed")
    assert provenance.provenance(0, {})["git_changes"] == tracked


def test_the_cpu_is_named(tmp_path) -> None:
    assert provenance.cpu_name(tmp_path / "missing") is None
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Z80 @ 4 MHz\n\nprocessor\t: 1\n")
    assert provenance.cpu_name(tmp_path / "cpuinfo") == "Z80 @ 4 MHz"
