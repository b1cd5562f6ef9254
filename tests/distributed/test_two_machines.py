"""One run on two machines by torchrun, without SLURM."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from checkout import Finished, checkout, result, run, started
from fsdp_tools import assert_same_run, command
from machines import Machines, possible

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not possible(), reason="needs root and network namespaces")]
NAMES = ("node1", "node2")
FSDP = ["trainer=fsdp", "trainer.accelerator=cpu"]
TWO_NODES = [*FSDP, "trainer.devices=1", "trainer.num_nodes=2"]
TORCHRUN = [
    "-m",
    "torch.distributed.run",
    "--nnodes=2",
    "--nproc-per-node=1",
    "--rdzv-backend=c10d",
    "--rdzv-endpoint=node1:29500",
]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with Machines(tmp_path_factory.mktemp("machines"), "switch", *NAMES) as machines:
        yield machines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("two_machines"))


def torchrun(machines: Machines, folder: Path, words: list[str], lost: str = "", during: str = "") -> dict[str, Finished]:
    """Run a command on both machines; returns how it ended on each. lost: a machine that is lost in the middle of a run."""
    with ExitStack() as stack:
        processes = {}
        for name in NAMES:
            output = stack.enter_context((folder / name).open("w"))
            there = machines.on(name, "env", "PYTHONPATH=src", sys.executable, *TORCHRUN, *words, folder=folder)
            processes[name] = stack.enter_context(started(there, stdout=output, stderr=subprocess.STDOUT))
        if lost:
            wait_for_an_update(folder / during, processes)
            machines.crash(lost)
        codes = {name: process.wait(400) for name, process in processes.items()}
    return {name: Finished(code, (folder / name).read_text()) for name, code in codes.items()}


def wait_for_an_update(folder: Path, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """Wait until a run's metrics.csv has a row."""
    while not (folder / "metrics.csv").exists() or len((folder / "metrics.csv").read_text().splitlines()) < 2:
        assert all(process.poll() is None for process in processes.values()), "the run ended early"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("node2", "another process, on 10.1.1.3, is gone: it was killed, or its machine is down"),
        ("node1", "process 0: it is gone: it was killed, or its machine is down"),
    ],
)
def test_the_other_machine_says_how_to_go_on_and_the_run_is_as_if_nothing_had_happened(
    machines: Machines, folder: Path, lost: str, message: str
) -> None:
    name = f"lost-{lost}"
    words = command(name, *TWO_NODES)
    (left,) = set(NAMES) - {lost}
    ended = torchrun(machines, folder, words, lost=lost, during=name)
    assert ended[left].code == 1
    (line,) = [line for line in ended[left].output.splitlines() if line.startswith(("error: ", "interrupted by "))]
    hint = rf"go on, started on every node as before, with: .*run\.py resume={folder}/{name}"
    said = rf"error: {re.escape(message)}; then|interrupted by SIGTERM;"  # the latter by torchrun, if it is faster
    assert re.fullmatch(f"({said}) {hint}", line)
    assert "[rank1]:[W" not in ended[left].output  # a stack trace of the store; torchrun prints one of its own
    machines.boot(lost)
    again = torchrun(machines, folder, ["src/run.py", f"resume={name}"])
    assert [finished.code for finished in again.values()] == [0, 0], again
    finished = run(folder, [command("one", "trainer=cpu"), command("two", *FSDP, "trainer.devices=2")])
    assert [each.code for each in finished] == [0, 0], finished
    assert result(folder / name) == result(folder / "two")
    assert_same_run(folder / "one", folder / name)
