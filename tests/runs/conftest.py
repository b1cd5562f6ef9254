"""Calling commands in this process, and a run that nothing happens to."""

import runpy
import sys

import pytest
from checkout import ROOT, run
from fault_tools import OPTIONS


@pytest.fixture
def suite(monkeypatch, capfd, tmp_path):
    """A function that runs src/<name>.py in this process, which has its libraries already: gives exit code and stderr."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "envs"))

    def call(name, *words):
        monkeypatch.setattr(sys, "argv", [f"src/{name}.py", *map(str, words)])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setattr("twosome.failures._failures", [])  # of this process so far
        capfd.readouterr()
        code = 0
        try:
            runpy.run_path(str(ROOT / "src" / f"{name}.py"), run_name="__main__")
        except SystemExit as stop:
            code = stop.code or 0
        return code, capfd.readouterr().err

    return call


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The run that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    (ended,) = run(
        folder.parent, [[str(ROOT / "src" / "run.py"), *OPTIONS, f"hydra.run.dir={folder}"]], PYTHONPATH=str(ROOT / "src")
    )
    assert ended.code == 0, ended.output
    return folder
