"""A process' memory is read while it lasts, by the number of updates that it has done."""

import subprocess
import sys
from pathlib import Path

import pytest

from twosome.benchmark import memory
from twosome.benchmark.memory import Readings, growth
from twosome.errors import RunError

GROWS = """
import sys, time
kept = []
with open(sys.argv[1], "w") as file:
    file.write("update\\n")
    for update in range(3):
        kept.append(b"x" * 50_000_000)
        print(update, file=file, flush=True)
        time.sleep(0.4)
del kept
time.sleep(0.2)
sys.exit(3)
"""


def test_readings_of_a_process(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", GROWS, str(tmp_path / "metrics.csv")])
    readings, code = memory._read(process, tmp_path / "metrics.csv")
    assert code == process.returncode == 3
    first, second, third = (readings.between(update, update) for update in (1, 2, 3))
    assert 40 < second - first < 60
    assert third > first
    assert readings.peak >= 150


def test_growth_is_seen_between_quarters() -> None:
    readings = Readings(300.0, {update: [100.0 + update, 50.0 + update, 102.0 + update] for update in range(1, 9)})
    readings.by_update[8] = [900.0]  # the end of the run
    assert growth(readings, 8) == {"updates": 8, "quarters": [101.5, 103.5, 105.5, 107.0], "largest": 109.0}


def test_too_few_readings() -> None:
    with pytest.raises(RunError, match="no reading after the updates 3 to 4; set memory_updates to more"):
        growth(Readings(1.0, {1: [1.0], 7: [1.0]}), 8)


def test_a_run_that_fails() -> None:
    with pytest.raises(RunError, match=r"run.py seed=-1 ended with exit code 2: error: seed=-1: expected an integer"):
        memory.run_process(["seed=-1"])
