"""`make test-gpu`: which steps it does, and what it says; without a GPU, and without doing them."""

import os
import shlex
import subprocess
from pathlib import Path

from checkout import ROOT
from evaluation_tools import composed

# A Python that writes down what it is asked, and fails where it is told to; nvidia-smi is it as well.
FAKE = """#!/bin/sh
echo "$*" >> "$OUT/calls"
case "$*" in *"$FAIL"*) exit 1 ;; esac
"""
SCRIPTS = ("src/run.py", "benchmarks/speed.py")


def check(folder: Path, fail: str, steps: str = "") -> tuple[int, str, list[str]]:
    """Run the script with the fake Python; returns its exit code, its errors and the commands."""
    for name in ("python", "nvidia-smi"):
        (folder / name).write_text(FAKE)
        (folder / name).chmod(0o755)
    own = {"PYTHON": str(folder / "python"), "OUT": str(folder), "FAIL": fail, "STEPS": steps}
    own["PATH"] = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run([ROOT / "tests/gpu/check"], env=own, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr, (folder / "calls").read_text().splitlines()


def test_without_a_gpu_one_line_says_so(tmp_path: Path) -> None:
    code, errors, calls = check(tmp_path, fail="cuda.is_available")
    assert (code, len(calls)) == (2, 1)
    assert errors.startswith("error: make test-gpu: PyTorch sees no GPU on this machine; ")
    assert len(errors.splitlines()) == 1


def test_a_step_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    code, errors, calls = check(tmp_path, fail="experiment=demo")
    assert code == 1
    assert errors == f"error: make test-gpu: failed: demo; their output is in {tmp_path}\n"
    assert "-m pytest -m gpu" in calls
    assert [call.split()[0] for call in calls[calls.index("-m pytest -m gpu") :]] == [
        *("-m", "src/run.py", "benchmarks/speed.py", "benchmarks/speed.py", "tests/gpu/llama_7b.py", "benchmarks/speed.py"),
        *("src/run.py", "src/run.py"),
    ]
    assert "demo: exit code 1" in (tmp_path / "steps.log").read_text()


def test_some_steps_only_and_all_well(tmp_path: Path) -> None:
    code, errors, calls = check(tmp_path, fail="nothing", steps="tests machine")
    assert (code, errors) == (0, "")
    assert calls[-1] == "-m pytest -m gpu"


def test_the_commands_of_the_steps_are_valid(tmp_path: Path) -> None:
    commands = [shlex.split(call) for call in check(tmp_path, fail="nothing")[2]]
    checked = [words for words in commands if words[:1] and words[0] in SCRIPTS]
    assert len(checked) == 6
    for _, *words in checked:
        options = [word for word in words if "=" in word and not word.startswith(("hydra.", "seed="))]
        config = composed("config", *options)
        assert config.trainer.accelerator == "gpu"
