"""A run that is really killed, at any moment, ends as the run that was left alone."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from checkout import result, started_script
from forking import Started

UPDATES, MANY_UPDATES = 12, 40
OPTIONS = ["model=tiny_random", f"total_steps={UPDATES * 8 * 16}", "algorithm.num_envs=8", "algorithm.num_steps=16",
           "evaluation.episodes=4",
           "evaluation.gif=false", "env.kwargs.max_primitive_steps=60", "seed=3",
           "retention.every=3", "retention.limit=2", "algorithm=ppo", "algorithm.base_kl_coef=0.1"]  # fmt: skip
PPO = [
    *OPTIONS,
    "baseline=ppo",
    "algorithm.base_kl_coef=0",
    f"total_steps={4 * UPDATES * 8 * 16}",
]  # its updates are as much faster
LONG = [*OPTIONS, f"total_steps={MANY_UPDATES * 8 * 16}"]


@contextmanager
def start(*arguments: str) -> Iterator[Started]:
    """Start src/run.py."""
    with (
        TemporaryDirectory() as folder,
        started_script(["src/run.py", *arguments], Path(folder, "output"), Path(folder, "errors")) as process,
    ):
        yield process


def ended(*arguments: str) -> tuple[int, str]:
    """Run src/run.py; returns its exit code and what it printed to standard error."""
    with start(*arguments) as process:
        return process.wait(200), process.errors.read_text()


def finish(*arguments: str) -> str:
    """Run src/run.py, which should end well; returns what it printed to standard error."""
    code, errors = ended(*arguments)
    assert code == 0, errors
    return errors


def rows(folder: Path) -> int:
    """Updates in metrics.csv so far."""
    file = folder / "metrics.csv"
    return len(file.read_text().splitlines()) - 1 if file.exists() else 0


def wait_for(folder: Path, updates: int, process: Started) -> None:
    """Until metrics.csv has so many updates, or the run ended."""
    while rows(folder) < updates and process.poll() is None:
        time.sleep(0.005)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(*OPTIONS, f"hydra.run.dir={folder}")
    return folder


def written(folder: Path) -> int:
    """When metrics.csv was last written; it is written anew after each update, and when training starts again."""
    file = folder / "metrics.csv"
    return file.stat().st_mtime_ns if file.exists() else 0


def disturbed(folder: Path, kills: int, seed: int, options: list[str]) -> None:
    """A run killed at random moments: before training, in rollouts, in updates, while files are written, at its end.

    Each time it is let live until it has written metrics.csv once, so that it is in training, and for an update or so more.
    """
    moments = random.Random(seed)
    with start(*options, f"hydra.run.dir={folder}"):
        while not (folder / "config.yaml").exists():  # before that there is nothing to go on with
            time.sleep(0.005)
        time.sleep(moments.random())
    for _ in range(kills - 1):
        before = written(folder)
        with start(f"resume={folder}") as process:
            while written(folder) == before and process.poll() is None:
                time.sleep(0.001)
            time.sleep(moments.random() * 0.4)
            assert process.poll() is None, "the run ended before it was killed often enough"
    finish(f"resume={folder}")


def test_a_killed_run_ends_with_the_same_bytes(undisturbed, tmp_path):
    disturbed(tmp_path / "run", kills=4, seed=0, options=OPTIONS)
    metrics, files = result(tmp_path / "run")
    assert len(metrics) == UPDATES + 1
    assert (metrics, files) == result(undisturbed)


def test_a_killed_run_of_ppo_from_scratch_ends_with_the_same_bytes(tmp_path):
    finish(*PPO, f"hydra.run.dir={tmp_path / 'undisturbed'}")
    disturbed(tmp_path / "run", kills=2, seed=0, options=PPO)
    assert len(result(tmp_path / "run")[0]) == 4 * UPDATES + 1
    assert result(tmp_path / "run") == result(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_with_the_same_bytes(tmp_path):
    finish(*LONG, f"hydra.run.dir={tmp_path / 'undisturbed'}")
    disturbed(tmp_path / "run", kills=20, seed=1, options=LONG)
    assert result(tmp_path / "run") == result(tmp_path / "undisturbed")


def test_ctrl_c_says_how_to_go_on_and_options_may_be_repeated_but_not_changed(undisturbed, tmp_path):
    folder = tmp_path / "run"
    with start(*OPTIONS, f"hydra.run.dir={folder}") as process:
        wait_for(folder, 2, process)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
        errors = process.errors.read_text()
    assert errors.strip().splitlines()[-1].endswith(f"src/run.py resume={folder}")
    assert "Traceback" not in errors

    code, errors = ended(f"resume={folder}", "seed=4")
    assert code == 2
    assert errors.strip() == (
        f"error: seed=4: expected seed=3, as in the run of {folder}; leave it out, or start a new run without resume"
    )

    finish(f"resume={folder}", "seed=3", "model=tiny_random")
    assert result(folder) == result(undisturbed)
    assert "finished already" in finish(f"resume={folder}")


def test_the_same_run_in_the_folder_goes_on_and_another_is_refused(undisturbed):
    again = (*OPTIONS, f"hydra.run.dir={undisturbed}")
    assert f"{undisturbed}: finished already" in finish(*again)
    code, errors = ended(*again, "seed=4", "logger=tensorboard")
    assert code == 2
    assert errors.strip().endswith("there is another one in it, with model.seed=3 (not 4), seed=3 (not 4)")
