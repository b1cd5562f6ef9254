"""``trainer=fsdp``, slow: every way in which a rank fails, and every way to start the ranks."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from checkout import Finished, result, run, started
from fsdp_commands import FAILURES, IN_CI, TWO, assert_failed, assert_no_process_is_left, failing, failing_checkout
from fsdp_tools import command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return failing_checkout(tmp_path_factory.mktemp("fsdp"))


@pytest.mark.parametrize(("how", "who"), set(FAILURES) - {IN_CI})
def test_a_failure_of_whichever_kind_ends_both(folder: Path, how: str, who: int) -> None:
    start = time.monotonic()
    (finished,) = run(folder, [failing(how, who)])
    assert time.monotonic() - start < 120  # most of it is starting; nobody waits for trainer.timeout, ten minutes
    assert_failed(finished, how, who)
    assert_no_process_is_left(folder)


def by_srun(folder: Path, words: list[str]) -> list[Finished]:
    """Run a command as srun does with two tasks on this node; returns how each ended."""
    step = {"STEP_NUM_TASKS": 2, "STEP_NODELIST": "localhost", "JOB_ID": os.getpid(), "STEP_ID": 0}
    ranks = []
    with ExitStack() as stack:
        for rank in range(2):
            names = step | {"PROCID": rank, "LOCALID": rank}
            variables = ["PYTHONPATH=src", *(f"SLURM_{name}={value}" for name, value in names.items())]
            options = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            ranks.append(stack.enter_context(started(["env", *variables, sys.executable, *words], **options)))
        outputs = [process.communicate(timeout=300)[0] for process in ranks]
    return [Finished(process.returncode, output) for process, output in zip(ranks, outputs, strict=True)]


def by_torchrun(folder: Path, words: list[str]) -> list[Finished]:
    """Run a command by torchrun with two processes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *words]
    with started(torchrun, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        output, _ = process.communicate(timeout=300)
    return [Finished(process.returncode, output)]


@pytest.mark.parametrize("start", [by_srun, by_torchrun])
def test_whoever_starts_the_processes_the_run_is_the_same(folder: Path, start: Callable[..., list[Finished]]) -> None:
    finished = [*run(folder, [command("two", *TWO)]), *start(folder, command(start.__name__, *TWO))]
    assert [process.code for process in finished] == [0] * len(finished), finished
    assert result(folder / start.__name__) == result(folder / "two")


def test_a_rank_that_srun_started_ends_with_another_even_where_it_computes(folder: Path) -> None:
    finished = by_srun(folder, failing("reward_while_the_other_sleeps", 1))
    assert [process.code for process in finished] == [2, 2], finished
    assert [process.output.count("error: process 1: env.id=twosome/Failing-v0") for process in finished] == [1, 0], finished
