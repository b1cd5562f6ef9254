"""What the tests of one run on other processes, machines or devices share: its command, and what equal runs have in common."""

import csv
import math
from pathlib import Path

import torch
from checkout import TIMING

OPTIONS = ["model=tiny_random", "seed=3", "total_steps=240", "algorithm.num_envs=5", "algorithm.num_steps=16",
           "algorithm.num_minibatches=2",
           "algorithm.value_num_minibatches=2", "algorithm.value_update_epochs=2", "algorithm.target_kl=0.05",
           "algorithm.minibatch=decisions",
           "algorithm.base_kl_coef=0.1", "env.kwargs.max_primitive_steps=60", "evaluation.episodes=2", "evaluation.gif=false",
           "retention.limit=1", "retention.every=2"]  # fmt: skip
PADDED = "model_tokens"  # counts padding, which depends on how the work is cut
TOLERANCE = 1e-5
LAST = "checkpoints/update=000003.ckpt"

LOSE_THE_LAST_UPDATE = f"""
import shutil
import sys
from pathlib import Path

whole, *names = sys.argv[1:]
for name in names:
    shutil.copytree(whole, name)
    (Path(name) / "DONE").unlink()
    (Path(name) / "{LAST}").unlink()
"""
"""A script that copies a run as it was before its last update; arguments: the folder of the run, those of the copies."""


def command(folder: str, *options: str) -> list[str]:
    """What starts a run in a folder."""
    return ["src/run.py", *OPTIONS, f"hydra.run.dir={folder}", *options]


def table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with file.open() as opened:
        return list(csv.DictReader(opened))


def learned(folder: Path) -> dict[str, torch.Tensor]:
    """The weights in the last checkpoint: adapter and critic."""
    state = torch.load(folder / LAST, weights_only=True, map_location="cpu")["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def assert_same_run(one: Path, other: Path, tolerance: float = TOLERANCE) -> None:
    """Episodes are equal to the byte, and learned weights and metrics, timing apart, to within float summation."""
    expected, found = learned(one), learned(other)
    assert expected.keys() == found.keys()
    assert {key.split(".")[1] for key in expected} == {"lm", "critic"}
    for key, weight in expected.items():
        assert type(found[key]) is torch.Tensor
        torch.testing.assert_close(found[key], weight, rtol=0, atol=tolerance)
    assert any(weight.abs().max() > 1e-4 for key, weight in expected.items() if "lora_B" in key), "nothing was learned"
    rows = table(one / "metrics.csv"), table(other / "metrics.csv")
    assert [len(each) for each in rows] == [3, 3]
    for row, same in zip(*rows, strict=True):
        assert row.keys() == same.keys()
        for name in row.keys() - {*TIMING, PADDED}:
            assert math.isclose(float(same[name]), float(row[name]), rel_tol=10 * tolerance, abs_tol=tolerance), name
    assert (one / "episodes.csv").read_bytes() == (other / "episodes.csv").read_bytes()
