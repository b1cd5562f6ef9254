"""SIGKILL within each phase of a run, over and over: what is left goes on to the same bytes as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from checkout import result, started
from fault_tools import OPTIONS

UPDATES = 60
LONG = [*OPTIONS, f"total_steps={UPDATES * 4 * 8}"]
KILLS = 6
"""In each phase."""


def start(*words):
    return started([sys.executable, str(Path(__file__).with_name("phases.py")), *map(str, words)], stderr=subprocess.PIPE)


def phases(process):
    """The phases that the process tells, as they come."""
    for line in process.stderr:
        if line.startswith(b"@"):
            yield line[1:].decode().strip()


def kill_within(process, phase, skip, fraction):
    """Kill the process in the phase, after skipping some occurrences of it, a fraction of an occurrence's time into it.

    Returns the phase in which it died, by the last word that it said; None between two.
    """
    began, last, lasted = 0.0, None, 0.0
    for word in phases(process):
        if word == phase and last != phase:
            began, skip = time.monotonic(), skip - 1
            if skip < 0:
                time.sleep(fraction * lasted)
                os.killpg(process.pid, signal.SIGKILL)
        elif word == f"-{phase}":
            lasted = time.monotonic() - began
        last = None if word.startswith("-") else word
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    return last


@pytest.mark.slow
def test_killed_in_every_phase_a_run_ends_with_the_same_bytes(tmp_path):
    with start(*LONG, f"hydra.run.dir={tmp_path / 'undisturbed'}") as whole:
        assert len(list(phases(whole))) > 6 * UPDATES
        assert whole.wait() == 0
    moments, died, folder = random.Random(0), Counter(), tmp_path / "run"
    words = [*LONG, f"hydra.run.dir={folder}"]
    while min(died[phase] for phase in ("rollout", "update", "checkpoint")) < KILLS:
        phase = min(("rollout", "update", "checkpoint"), key=lambda phase: (died[phase], moments.random()))
        with start(*words) as process:
            died[kill_within(process, phase, 1 + moments.randrange(3), moments.random())] += 1
        words = [f"resume={folder}"] if (folder / "config.yaml").exists() else words
        assert sum(died.values()) < 60, died
    while died["export"] < KILLS:  # the moment is short: at its beginning, or some milliseconds later
        with start(f"resume={folder}") as process:
            for word in phases(process):
                if word == "export":
                    time.sleep(moments.random() * 0.004)
                    os.killpg(process.pid, signal.SIGKILL)
                    break
            died["export" if "@-export" not in process.stderr.read().decode() else None] += 1
        assert not (folder / "DONE").exists()
        assert sum(died.values()) < 80, died
    with start(f"resume={folder}") as process:
        list(phases(process))
        assert process.wait() == 0
    print(json.dumps({str(phase): count for phase, count in died.items()}))
    assert result(folder) == result(tmp_path / "undisturbed")
    assert not list(folder.rglob(".*"))
