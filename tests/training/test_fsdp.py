"""``trainer=fsdp`` by torchrun: two processes that share a run do what one process does."""

import csv
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from checkout import ROOT, TIMING, environment
from small import SMALL

import twosome
from twosome.errors import UserError

OPTIONS = [
    *SMALL,
    "env.kwargs.max_primitive_steps=30",
    "evaluation.episodes=2",
    "retention.drift=true",
    "retention.limit=1",
    "retention.every=2",
]
TWO = ["trainer=fsdp", "trainer.accelerator=cpu"]
TOLERANCE = 1e-5
PADDED = "model_tokens"  # counts padding, which depends on how the work is cut


def torchrun(*words: str, processes: int = 2) -> None:
    """Run src/run.py on several processes."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--standalone",
               str(ROOT / "src/run.py"), *words]  # fmt: skip
    own = environment() | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-5000:]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same run on one process and on two; and the latter resumed by one after its last update was lost."""
    root = tmp_path_factory.mktemp("fsdp")
    twosome.run(*OPTIONS, folder=root / "one")
    torchrun(*OPTIONS, *TWO, f"hydra.run.dir={root / 'two'}")
    return {"one": root / "one", "two": root / "two"}


def rows(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv."""
    with (folder / "metrics.csv").open() as opened:
        return list(csv.DictReader(opened))


def learned(folder: Path) -> dict[str, torch.Tensor]:
    """The weights in the last checkpoint: adapter and critic."""
    state = torch.load(folder / "checkpoints" / "update=000003.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def assert_same(one: Path, other: Path) -> None:
    """Episodes are equal to the byte, and learned weights and metrics, timing apart, to within float summation."""
    expected, found = learned(one), learned(other)
    assert expected.keys() == found.keys()
    for key, weight in expected.items():
        torch.testing.assert_close(found[key], weight, rtol=0, atol=TOLERANCE)
    for row, same in zip(rows(one), rows(other), strict=True):
        for name in row.keys() - {*TIMING, PADDED}:
            assert math.isclose(float(same[name]), float(row[name]), rel_tol=10 * TOLERANCE, abs_tol=TOLERANCE) or (
                row[name] == same[name] == "nan"
            ), name
    assert (one / "episodes.csv").read_bytes() == (other / "episodes.csv").read_bytes()


def test_two_processes_do_what_one_does(runs: dict[str, Path]) -> None:
    assert_same(runs["one"], runs["two"])
    assert (runs["two"] / "DONE").exists()
    assert (runs["two"] / "episodes.csv").stat().st_size


def test_a_run_of_two_processes_goes_on_by_one(runs: dict[str, Path]) -> None:
    folder = runs["two"]
    (folder / "DONE").unlink()
    (folder / "checkpoints" / "update=000003.ckpt").unlink()
    twosome.run(f"resume={folder}", "trainer=cpu")
    assert_same(runs["one"], folder)


def test_processes_are_started_by_torchrun_or_srun(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trainer\.devices=2 trainer\.num_nodes=1: expected as many processes, 1 was started"):
        twosome.run(*SMALL, *TWO, folder=tmp_path / "run")


@pytest.mark.slow
def test_sharded_gradients_are_those_of_one_process() -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone",
               str(Path(__file__).with_name("pair.py"))]  # fmt: skip
    own = environment() | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-5000:]
