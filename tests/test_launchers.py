"""Sweeps by submitit's launchers: jobs that fail, are killed or preempted. tests/slurm does the same on a real SLURM."""

import os
import re
import signal
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from checkout import Finished, checkout, result, run, started_script
from forking import Started

from hydra_plugins._slurm import requeue_handler, watcher
from hydra_plugins.submitit_launchers import ReportingLauncher, SlurmLauncher
from twosome import signals
from twosome.distributed.cluster import KeepSigterm, cluster_plugins

OPTIONS = ["model=tiny_random", "algorithm.num_envs=8", "algorithm.num_steps=16", "total_steps=1_024",
           "algorithm.value_update_epochs=1",
           "evaluation.episodes=0", "retention.drift=false", "logger=tensorboard"]  # fmt: skip


def start(output: Path, *words: str) -> AbstractContextManager[Started]:
    """Start src/run.py, which prints into a file."""
    return started_script(["src/run.py", *words], output)


def wait_for_updates(folder: Path, updates: int, process: Started) -> None:
    """Until a run's metrics.csv has so many."""
    file = folder / "metrics.csv"
    while not file.exists() or len(file.read_text().splitlines()) <= updates:
        assert process.poll() is None, "the sweep ended early"
        time.sleep(0.02)


def worker(log: Path) -> int:
    """The process that does a local job; submitit names the log by the process that watches it."""
    watcher = log.name.partition("_")[0]
    return int(Path(f"/proc/{watcher}/task/{watcher}/children").read_text())


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> tuple[int, str, Path]:
    """A sweep of three jobs: bad input, a run that is killed, one that is preempted. Its exit code, errors and folder."""
    folder = tmp_path_factory.mktemp("swept")
    output = folder / "output"
    with start(output, "-m", "hydra/launcher=submitit_local", *OPTIONS, "seed=-1,0,1", f"hydra.sweep.dir={folder}") as process:
        wait_for_updates(folder / "1", 2, process)  # so that the first is in the log
        logs = {
            int(seed): Path(log) for seed, log in re.findall(r" seed=(-?\d)\b.*; log: (\S+)$", output.read_text(), re.MULTILINE)
        }
        os.kill(worker(logs[0]), signal.SIGKILL)
        wait_for_updates(folder / "2", 1, process)
        preempted = worker(logs[1])
        os.kill(preempted, signal.SIGTERM)  # as SLURM does first; it is not the end
        wait_for_updates(folder / "2", 4, process)
        os.kill(preempted, signal.SIGUSR2)
        return process.wait(200), output.read_text(), folder


def test_failed_jobs_are_reported_with_their_logs(swept):
    code, output, folder = swept
    assert code == 1
    *_, bad, killed = output.splitlines()
    logs = rf"{folder}/\.submitit/\d+/\d+_0_log\.err"
    assert re.fullmatch(rf"error: job .* seed=-1: seed=-1: expected an integer from 0 to 2\*\*32 - 1; log: {logs}", bad)
    assert re.fullmatch(rf"error: job .* seed=0: ended without a result \(FINISHED\), killed or lost: .*; log: {logs}", killed)
    for line, error in ((bad, "error: job "), (killed, "update 1/8 ")):
        assert error in Path(line.rpartition(" ")[2]).read_text()


WRONG = {
    "hydra/launcher=submitit_local": "hydra/launcher=submitit_local: expected -m with it",
    "-m hydra/launcher=slurm": "expected a machine that submits jobs to SLURM; there is no sbatch on the PATH; use",
    "-m hydra/launcher=slum": "hydra/launcher=slum: expected one of basic, slurm, submitit_local, submitit_slurm; did you mean",
    "-m hydra/launcher=slurm hydra.launcher.partitoin=gpu": "no such option; did you mean hydra.launcher.partition?",
    "-m hydra/launcher=slurm hydra.launcher.timeout_min=soon": "hydra.launcher.timeout_min=soon: expected an integer",
    "-m hydra/launcher=submitit_local hydra.launcher.nodes=2": "LocalExecutor can use only one node. Use nodes=1",
}


@pytest.fixture(scope="module")
def afterwards(swept, tmp_path_factory) -> dict[str, Finished]:
    """How other commands ended: the preempted run left alone, the same sweep again, wrong ones; on a PATH without SLURM."""
    folder = checkout(tmp_path_factory.mktemp("afterwards"))
    commands = {
        "calm": [*OPTIONS, "seed=1", f"hydra.run.dir={swept[2]}/calm"],
        "again": ["-m", *OPTIONS, "seed=-1,0,1", f"hydra.sweep.dir={swept[2]}"],
        **{words: [*words.split(), *OPTIONS, f"hydra.{'sweep' if '-m' in words else 'run'}.dir=wrong"] for words in WRONG},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder))
        return dict(zip(commands, run(folder, [["src/run.py", *words] for words in commands.values()]), strict=True))


def test_a_preempted_job_goes_on_and_ends_with_the_same_bytes(swept, afterwards):
    assert afterwards["calm"].code == 0, afterwards["calm"].output
    assert result(swept[2] / "2") == result(swept[2] / "calm")


def test_the_same_sweep_does_what_is_missing(swept, afterwards):
    again = afterwards["again"]
    assert again.code == 2
    assert "2: finished already" in again.output
    assert (swept[2] / "1" / "DONE").exists()


@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_be_launched_is_one_line(afterwards, words):
    assert afterwards[words].code == 2
    assert len(afterwards[words].output.splitlines()) == 1, afterwards[words].output
    assert WRONG[words] in afterwards[words].output


@pytest.mark.parametrize(("queue", "state"), [("117 ci twosome root PD", "REQUEUED"), ("", "NODE_FAIL")])
def test_a_job_of_a_lost_node_has_not_ended_if_it_is_queued_again(tmp_path, monkeypatch, queue, state):
    (tmp_path / "squeue").write_text(f"#!/bin/sh\n[ $2 = --jobs=117_2 ] && echo '{queue}'\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    info = watcher().read_info("JobID|State|NodeList\n117_2|NODE_FAIL|node1\n117_3|FAILED|node1\n")
    assert {job: info[job]["State"] for job in info} == {"117_2": state, "117_3": "FAILED"}


def test_a_slurm_without_accounting_is_refused(tmp_path, monkeypatch):
    for name in ("sbatch", "srun", "scontrol", "sacct"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'Slurm accounting storage is disabled' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    output = tmp_path / "output"
    with start(output, "-m", "hydra/launcher=slurm", *OPTIONS, f"hydra.sweep.dir={tmp_path}") as process:
        assert process.wait(60) == 2
    assert "expected accounting by SLURM; sacct says: Slurm accounting storage is disabled" in output.read_text()


@pytest.mark.parametrize(("returncode", "raised"), [(-signal.SIGTERM, SystemExit), (1, subprocess.CalledProcessError)])
def test_a_killed_scontrol_has_done_its_work(returncode, raised):
    def handler(signum, frame):
        raise subprocess.CalledProcessError(returncode, "scontrol requeue")

    with pytest.raises(raised):
        requeue_handler(handler)(signal.SIGUSR2, None)


def test_slurm_gives_lightning_its_ranks_and_no_signals(monkeypatch):
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    assert cluster_plugins() == []
    ranks = {"NTASKS": 4, "NTASKS_PER_NODE": 2, "PROCID": 3, "LOCALID": 1, "NODEID": 1, "JOB_ID": 7, "JOB_NAME": "twosome"}
    for name, value in ranks.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    (slurm,) = cluster_plugins()
    assert (slurm.world_size(), slurm.global_rank(), slurm.local_rank(), slurm.node_rank()) == (4, 3, 1, 1)
    assert not slurm.auto_requeue


def test_after_an_interruption_slurms_jobs_go_on_and_the_sweep_can(monkeypatch):
    hints = []
    monkeypatch.setattr(signals, "_state", signals._State())
    monkeypatch.setattr(ReportingLauncher, "launch", lambda *_: hints.append(signals.hint()))
    signals.set_hint(lambda: "go on with: the sweep")
    SlurmLauncher.launch(object.__new__(SlurmLauncher), [], 0)
    assert hints == ["SLURM goes on with the jobs above (`scancel <id>` stops them); later go on with: the sweep"]
    assert signals.hint() == "go on with: the sweep"


@pytest.mark.parametrize("before", [signal.SIG_IGN, lambda *_: None])
def test_sigterm_does_in_training_what_it_did_before(before):
    signal.signal(signal.SIGTERM, before)
    callback = KeepSigterm()
    signal.signal(signal.SIGTERM, print)  # Lightning's
    callback.on_train_start(None, None)
    assert signal.getsignal(signal.SIGTERM) is before
