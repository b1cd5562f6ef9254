"""A run that is really killed, at any moment, ends as the run that was left alone."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkout import ROOT, environment

TIMING = ("rollout_seconds", "update_seconds", "steps_per_second")
OPTIONS = ["model=tiny_random", "total_steps=1536", "ppo.num_envs=8", "ppo.num_steps=16", "evaluation.episodes=4",
           "evaluation.gif=false", "env.kwargs.max_primitive_steps=60", "seed=3"]  # fmt: skip
UPDATES = 12


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start src/run.py in a process group of its own."""
    command = [sys.executable, str(ROOT / "src" / "run.py"), *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a run that should end well; returns what it printed to standard error."""
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return errors


def rows(folder: Path) -> int:
    """Updates in metrics.csv so far."""
    file = folder / "metrics.csv"
    return len(file.read_text().splitlines()) - 1 if file.exists() else 0


def wait_for(folder: Path, updates: int, process: subprocess.Popen[str]) -> None:
    """Until metrics.csv has so many updates, or the run ended."""
    while rows(folder) < updates and process.poll() is None:
        time.sleep(0.005)


def result(folder: Path) -> tuple[list[list[str]], list[bytes]]:
    """What must be equal: metrics without timing; episodes, evaluation and adapter to the byte."""
    with (folder / "metrics.csv").open() as file:
        table = list(csv.reader(file))
    keep = [column for column, name in enumerate(table[0]) if name not in TIMING]
    metrics = [[row[column] for column in keep] for row in table]
    files = ("episodes.csv", "evaluation.json", "adapter/adapter_model.safetensors")
    return metrics, [(folder / file).read_bytes() for file in files]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(start(*OPTIONS, f"hydra.run.dir={folder}"))
    return folder


def disturbed(folder: Path, kills: int, seed: int) -> None:
    """A run killed at random moments: in rollouts, in updates, while files are written, between updates, at its end."""
    moments = random.Random(seed)
    process = start(*OPTIONS, f"hydra.run.dir={folder}")
    for kill in range(kills):
        if kill == 0:
            while not (folder / "config.yaml").exists():  # before that there is nothing to go on with
                time.sleep(0.005)
        wait_for(folder, moments.randint(0, UPDATES - 1) if kill else 0, process)
        time.sleep(moments.random() * (0.3 if kill else 3))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        process = start(f"resume={folder}")
    finish(process)


def test_a_killed_run_ends_with_the_same_bytes(undisturbed, tmp_path):
    disturbed(tmp_path / "run", kills=3, seed=0)
    metrics, files = result(tmp_path / "run")
    assert len(metrics) == UPDATES + 1
    assert (metrics, files) == result(undisturbed)


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_with_the_same_bytes(undisturbed, tmp_path):
    disturbed(tmp_path / "run", kills=20, seed=1)
    assert result(tmp_path / "run") == result(undisturbed)


def test_ctrl_c_says_how_to_go_on_and_options_may_be_repeated_but_not_changed(undisturbed, tmp_path):
    folder = tmp_path / "run"
    process = start(*OPTIONS, f"hydra.run.dir={folder}")
    wait_for(folder, 2, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1].endswith(f"src/run.py resume={folder}")
    assert "Traceback" not in errors

    process = start(f"resume={folder}", "seed=4")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.strip() == (
        f"error: seed=4: expected seed=3, as in the run of {folder}; leave it out, or start a new run without resume"
    )

    finish(start(f"resume={folder}", "seed=3", "model=tiny_random"))
    assert result(folder) == result(undisturbed)
    assert "finished already" in finish(start(f"resume={folder}"))


def test_a_second_run_in_the_folder_is_refused(undisturbed):
    process = start(*OPTIONS, f"hydra.run.dir={undisturbed}")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "there is a run in this folder already" in errors
