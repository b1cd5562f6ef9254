"""A run on each device: resumed there it ends with the same bytes, on another one with the same numbers. FSDP of one process."""

from pathlib import Path

import pytest
from checkout import checkout, result, run
from devices import GPU
from fsdp_tools import LOSE_THE_LAST_UPDATE, assert_same_run, command

HERE = {"cpu": ["trainer=cpu"], "cuda": ["trainer=gpu"]}
FSDP = {
    device: ["trainer=fsdp", f"trainer.accelerator={name}", "trainer.devices=1"]
    for device, name in (("cpu", "cpu"), ("cuda", "gpu"))
}
OTHER = {"cpu": FSDP["cpu"], "cuda": ["trainer=cpu"]}
TOLERANCE = {"cpu": 1e-5, "cuda": 1e-3}  # between a device and another one


@pytest.fixture(scope="module", params=[pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=GPU)])
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(device: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on the device (here) and another one (there), and both gone on with, after their last update was lost, on either."""
    folder = checkout(tmp_path_factory.mktemp("devices"))
    (folder / "lose.py").write_text(LOSE_THE_LAST_UPDATE)
    commands = [
        command("here", *HERE[device]),
        command("there", *OTHER[device]),
        command("sharded", *FSDP[device]),
        ["lose.py", "here", "again", "away"],
        ["lose.py", "there", "back"],
        ["src/run.py", "resume=again"],
        ["src/run.py", "resume=away", *OTHER[device]],
        ["src/run.py", "resume=back", *HERE[device]],
    ]
    for words, finished in zip(commands, run(folder, commands), strict=True):
        assert finished.code == 0, (words, finished.output)
    return folder


def test_resumed_on_the_same_device_it_ends_with_the_same_bytes(folder: Path) -> None:
    assert result(folder / "again") == result(folder / "here")


@pytest.mark.parametrize(("one", "other"), [("here", "there"), ("here", "away"), ("there", "back")])
def test_resumed_on_another_device_it_ends_with_the_same_numbers(device: str, folder: Path, one: str, other: str) -> None:
    assert_same_run(folder / one, folder / other, TOLERANCE[device])


def test_fsdp_of_one_process_is_the_run_of_one_process(folder: Path) -> None:
    assert_same_run(folder / "here", folder / "sharded")
