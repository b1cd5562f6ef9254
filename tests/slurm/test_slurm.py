"""A sweep on a real SLURM, where jobs time out, are preempted, queued again and killed: `make test-slurm`, some minutes.

Every run ends with the bytes of the same run left alone, and the command says what became of each.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import Finished, copied, result, run
from slurm_cluster import SlurmCluster, installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not installed(), reason="needs root and SLURM's daemons; `make test-slurm` installs them"),
]

EXPERIMENT = """# @package _global_
# Five runs of some seconds, and one that needs more than the time of a job.
defaults:
  - override /hydra/sweeper: grids

hydra:
  mode: MULTIRUN
  sweeper:
    grids:
      - {model: tiny_random, total_steps: 3_072, seed: [0, 1, 2, 3, 4]}
      - {model: tiny_random, total_steps: 64_000, seed: [5]}
"""
SWEEP = ["src/run.py", "-m", "experiment=storm", "algorithm.num_envs=8", "algorithm.num_steps=16", "evaluation.episodes=2",
         "evaluation.gif=false", "retention.limit=2", "env.kwargs.max_primitive_steps=60"]  # fmt: skip
SLURM = ["hydra/launcher=slurm", "hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=20"]
PREEMPTED, KILLED, REQUEUED, LONG = 1, 2, 3, 5  # seeds, which are also the jobs' places in the array


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkout with the experiment."""
    folder = copied(tmp_path_factory.mktemp("storm"))
    (folder / "experiments" / "storm.yaml").write_text(EXPERIMENT)
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[SlurmCluster]:
    """A running SLURM."""
    place = tmp_path_factory.mktemp("slurm")
    for parent in (place, *place.parents[:2]):
        parent.chmod(0o755)  # munge wants its socket to be reached
    with SlurmCluster(place) as cluster:
        yield cluster


def sweep(folder: Path, cluster: SlurmCluster, *words: str) -> subprocess.Popen[bytes]:
    """Start the sweep on the cluster."""
    return cluster.started(folder, sys.executable, *SWEEP, *SLURM, *words)


def finish(process: subprocess.Popen[bytes], folder: Path) -> Finished:
    """How a sweep ended."""
    try:
        return Finished(process.wait(1_500), (folder / "output").read_text())
    finally:
        process.kill()  # if it did not end


def wait_for_training(folder: Path, seed: int, process: subprocess.Popen[bytes]) -> None:
    """Until a run has done two updates."""
    while True:
        rows = [len(path.read_text().splitlines()) for path in folder.glob(f"runs/*/*-seed{seed}-*/metrics.csv")]
        if rows and rows[0] > 2:
            return
        if process.poll() is not None:
            pytest.fail(finish(process, folder).output)
        time.sleep(0.05)


def job_id(cluster: SlurmCluster, seed: int, form: str = "%i") -> str:
    """A running job as squeue prints it: %i 7_2, %A its number without the array."""
    jobs = dict(line.split() for line in cluster.command("squeue", "--noheader", "--format", f"%K {form}").splitlines())
    return jobs[str(seed)]


def kill(cluster: SlurmCluster, seed: int) -> None:
    """SIGKILL for the process that trains."""
    lines = cluster.command("scontrol", "listpids", job_id(cluster, seed, "%A")).splitlines()[1:]
    (pid,) = [line.split()[0] for line in lines if line.split()[2] == "0"]  # of the step that srun started
    os.kill(int(pid), signal.SIGKILL)


@pytest.fixture(scope="module")
def stormy(folder, cluster) -> Finished:
    """How the sweep ended."""
    process = sweep(folder, cluster)
    wait_for_training(folder, PREEMPTED, process)
    cluster.command("sbatch", "--partition=hi", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 1")
    wait_for_training(folder, KILLED, process)
    kill(cluster, KILLED)
    wait_for_training(folder, REQUEUED, process)
    cluster.command("scontrol", "requeue", job_id(cluster, REQUEUED))
    return finish(process, folder)


def logs(output: str) -> dict[int, Path]:
    """The jobs' logs, by their seeds, as the launcher said at the start."""
    return {int(seed): Path(path) for seed, path in re.findall(r"\bseed=(\d)\b.*; log: (\S+)$", output, re.MULTILINE)}


def test_the_launcher_returns_and_tells_of_the_killed_job(stormy):
    assert stormy.code == 1, stormy.output
    *_, job, last = stormy.output.strip().splitlines()
    assert re.search(rf"seed={KILLED} .*: ended without a result \(FAILED\), killed or lost: .*: Killed; log: ", job)
    assert job.endswith(str(logs(stormy.output)[KILLED]))
    assert last.startswith("error: 1 of 6 runs failed; the same command resumes them: ")


def test_slurm_did_what_it_was_to_do(stormy, cluster):
    records = cluster.command("sacct", "--duplicates", "--allocations", "--noheader", "--parsable2", "--format=JobID,State")
    states = {seed: re.findall(rf"_{seed}\|(\w+)", records) for seed in range(6)}
    log = {seed: path.read_text() for seed, path in logs(stormy.output).items()}
    assert all("SIGUSR2: preempted, or soon out of time" in log[seed] for seed in (PREEMPTED, LONG))
    assert states[KILLED] == ["FAILED"]
    for seed in (PREEMPTED, REQUEUED, LONG):
        assert len(states[seed]) > 1, records  # the last may be RUNNING still: the launcher has what it waited for
        assert set(states[seed][:-1]) == {"REQUEUED"}


def test_the_same_command_does_what_is_missing_and_all_runs_are_as_if_left_alone(folder, cluster, stormy):
    again = finish(sweep(folder, cluster), folder)
    assert again.code == 0, again.output
    assert "6 runs: 0 trained, 1 resumed, 0 failed, 5 finished before" in again.output
    (calm,) = run(folder, [[*SWEEP, "hydra.sweeper.runs=calm"]])
    assert calm.code == 0, calm.output
    names = sorted(path.relative_to(folder / "calm") for path in (folder / "calm").glob("*/*"))
    assert len(names) == 6
    for name in names:
        assert result(folder / "runs" / name) == result(folder / "calm" / name)


def test_what_the_cluster_does_not_take_is_one_line(folder, cluster):
    wrong = finish(sweep(folder, cluster, "hydra.launcher.partition=nowhere", "seed=7"), folder)
    assert wrong.code == 2
    *_, last = wrong.output.splitlines()  # after what sbatch prints itself
    assert last.startswith("error: hydra.launcher: expected options that this machine or cluster accepts; ")
    assert "invalid partition specified: nowhere" in last
