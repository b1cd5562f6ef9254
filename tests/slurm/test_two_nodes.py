"""One run on two nodes of a SLURM cluster, which are machines of their own, and of which one after the other is lost."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import copied, result, run
from fsdp_tools import OPTIONS, assert_same_run, command
from machines import Machines, possible
from slurm_cluster import SlurmCluster, installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not installed() or not possible(), reason="needs root and SLURM's daemons; `make test-slurm` installs them"
    ),
]
FSDP = ["trainer=fsdp", "trainer.accelerator=cpu"]
TWO_NODES = [*FSDP, "trainer.devices=1", "trainer.num_nodes=2"]
LONGER = "total_steps=1_200"
LAUNCHER = ["-m", "hydra/launcher=slurm", "hydra.launcher.nodes=2", "hydra.launcher.timeout_min=50"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("two_nodes"))


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with Machines(tmp_path_factory.mktemp("machines"), "head", "node1", "node2") as machines:
        yield machines


@pytest.fixture(scope="module")
def cluster(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    place = tmp_path_factory.mktemp("slurm")
    for parent in (place, *place.parents[:2]):
        parent.chmod(0o755)  # munge wants its socket to be reached
    with SlurmCluster(place, machines) as cluster:
        yield cluster


def updates(folder: Path) -> int:
    """The rows of a run's metrics.csv."""
    file = folder / "metrics.csv"
    return len(file.read_text().splitlines()) - 1 if file.exists() else 0


def lose(cluster: SlurmCluster, machines: Machines, name: str, **how: bool) -> None:
    """End a node, and start it again when SLURM has noticed."""
    machines.crash(name, **how)
    cluster.wait_for_nodes(1, "down")
    machines.boot(name)
    cluster.start_node(name)


@pytest.mark.parametrize("tasks", ["--ntasks-per-node=1", "--ntasks=2"])
def test_srun_on_two_nodes_does_the_run_of_one_process(folder: Path, cluster: SlurmCluster, tasks: str) -> None:
    name = f"srun{tasks}"
    process = cluster.started(
        folder, "env", "PYTHONPATH=src", "srun", "--nodes=2", tasks, sys.executable, *command(name, *TWO_NODES)
    )
    (one,) = run(folder, [command("one", "trainer=cpu")]) if not (folder / "one").exists() else [None]
    assert process.wait(500) == 0, (folder / "output").read_text()
    assert one is None or one.code == 0, one.output
    assert_same_run(folder / "one", folder / name)


def test_a_run_whose_nodes_are_lost_is_queued_again_and_ends_with_the_same_bytes(
    folder: Path, cluster: SlurmCluster, machines: Machines
) -> None:
    words = ["src/run.py", *LAUNCHER, *OPTIONS, *TWO_NODES, LONGER, "hydra.sweep.dir=swept"]
    process = cluster.started(folder, sys.executable, *words)
    try:
        wait_for_updates(folder, 2, process)
        lose(cluster, machines, "node2")
        wait_for_updates(folder, updates(folder / "swept/0") + 1, process)
        lose(cluster, machines, "node1", unplugged=True)  # where the first process is, and the job's script
        assert process.wait(500) == 0, (folder / "output").read_text()
    finally:
        process.kill()
    (log,) = re.findall(r"; log: (\S+)$", (folder / "output").read_text(), re.MULTILINE)
    said = [line for line in Path(log).read_text().splitlines() if "error: job" in line]
    assert len(said) == 1
    assert (
        "another process, on 10.1.1.3, is gone: it was killed, or its machine is down; then go on, started on every node"
        in said[0]
    )
    states = cluster.command("sacct", "--duplicates", "--allocations", "--noheader", "--parsable2", "--format=State").split()
    assert states[-3:-1] == ["NODE_FAIL", "NODE_FAIL"]
    (calm,) = run(folder, [command("calm", *FSDP, "trainer.devices=2", LONGER)])
    assert calm.code == 0, calm.output
    assert result(folder / "swept/0") == result(folder / "calm")


def wait_for_updates(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Until the run of the sweep has done so many updates."""
    while updates(folder / "swept/0") < count:
        assert process.poll() is None, (folder / "output").read_text()
        time.sleep(0.05)
