"""A sweep on a real SLURM by the stock launcher, where a job is queued again: `make test-slurm`, some minutes."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import ROOT, call, result
from slurm_cluster import SlurmCluster, installed
from small import SMALL

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not installed(), reason="needs root and SLURM's daemons; `make test-slurm` installs them"),
]

SWEEP = ["-m", *SMALL, "total_steps=3_072", "seed=0,1,2"]
SLURM = ["hydra/launcher=slurm", "hydra.launcher.timeout_min=10", "hydra.sweep.dir=sweep"]
REQUEUED = 1  # the job's place in the array


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A running SLURM."""
    place = tmp_path_factory.mktemp("slurm")
    for parent in (place, *place.parents[:2]):
        parent.chmod(0o755)  # munge wants its socket to be reached
    with SlurmCluster(place) as cluster:
        yield cluster


def test_a_sweep_with_a_requeued_job_ends_with_the_bytes_of_one_left_alone(cluster: SlurmCluster, tmp_path: Path) -> None:
    process = cluster.started(tmp_path, sys.executable, str(ROOT / "src/run.py"), *SWEEP, *SLURM)
    started = tmp_path / "sweep" / str(REQUEUED) / "checkpoints" / "update=000002.ckpt"
    until = time.monotonic() + 300
    while not started.exists():
        assert process.poll() is None, (tmp_path / "output").read_text()
        assert time.monotonic() < until
        time.sleep(0.05)
    jobs = dict(line.split() for line in cluster.command("squeue", "--noheader", "--format", "%K %i").splitlines())
    cluster.command("scontrol", "requeue", jobs[str(REQUEUED)])
    assert process.wait(900) == 0, (tmp_path / "output").read_text()
    calm = call(tmp_path, ["src/run.py", *SWEEP, "hydra.sweep.dir=calm"])
    assert calm.code == 0, calm.output
    for number in ("0", "1", "2"):
        assert result(tmp_path / "sweep" / number) == result(tmp_path / "calm" / number)
