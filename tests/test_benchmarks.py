"""The scripts of benchmarks/ at a tiny size."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT, environment

SMALL = "model=tiny_random --num-envs 2 --num-steps 4 --synthetic-decisions 4 --rounds 1"


def measured(script: str, words: str, output: Path) -> tuple[dict[str, Any], str]:
    """Run a script; return the file that it writes, and what it prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *words.split(), "--output", str(output)]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "benchmarks")])
    done = subprocess.run(command, env=environment() | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(output.read_text()), done.stdout


@pytest.mark.slow
def test_speed(tmp_path: Path) -> None:
    """All contestants compute the same log-probabilities; the engine computes the fewest tokens, but not fewer than the limit."""
    found, printed = measured("speed.py", SMALL, tmp_path / "speed.json")
    works = ("first_rollout", "later_rollout", "update")
    sources = ("tomato_salad", "nothing_recurs", "many_actions")
    assert [(row["source"], row["work"]) for row in found["results"]] == [(source, work) for source in sources for work in works]
    for row in found["results"]:
        assert row["cached"]["largest_difference"] < 1e-4
        assert row["repeat"]["largest_difference"] < 1e-4
        assert row["cached"]["ratio"]["median"] == row["cached"]["seconds"][0] / row["engine"]["seconds"][0]
        assert row["limit"]["ratio"]["median"] == row["engine"]["seconds"][0] / row["limit"]["seconds"][0]
        assert row["repeat"]["tokens"] > row["cached"]["tokens"] > row["engine"]["tokens"]
        assert f"| {row['source']}, {row['work']} | {row['decisions']} ({row['distinct']}) |" in printed
    assert [row["distinct"] < row["decisions"] for row in found["results"]] == [True] * 3 + [False] * 6


@pytest.mark.slow
def test_memory(tmp_path: Path) -> None:
    found, printed = measured("memory.py", "model=tiny_random --runs nothing_recurs --updates 2", tmp_path / "memory.json")
    (row,) = found["runs"]
    assert (row["run"], row["updates"]) == ("nothing_recurs", 2)
    assert row["peak"] > 100  # MB: PyTorch alone takes more
    assert "| nothing_recurs | " in printed
