"""What goes wrong around a run: one line says so, nothing half-written stays, and the resumed run is the undisturbed one."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from checkout import ROOT, result, started_script
from fault_tools import (
    FRAGILE,
    OPTIONS,
    assert_goes_on_as,
    error_line,
    flip_a_bit,
    stopped,
    truncate,
)

from twosome.algorithms import rollout

# checkpoints


def empty(path):
    path.write_bytes(b"")


def overwrite(path):
    path.write_text("{}")


SLOWLY = pytest.mark.slow  # for more of a kind


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, *(pytest.param(more, marks=SLOWLY) for more in (empty, overwrite))])
def test_a_damaged_checkpoint_is_passed_over(suite, monkeypatch, tmp_path, undisturbed, damage):
    folder = stopped(suite, monkeypatch, tmp_path / "run")
    before, last = sorted(folder.glob("checkpoints/*.ckpt"))
    damage(last)
    errors = assert_goes_on_as(suite, folder, undisturbed)
    (line,) = [line for line in errors.splitlines() if "damaged" in line]
    assert f"damaged: {last.name} (" in line
    assert line.endswith(f"going on from {before.name}")


def test_two_damaged_checkpoints_are_one_line(suite, monkeypatch, tmp_path, undisturbed):
    folder = stopped(suite, monkeypatch, tmp_path / "run")
    shutil.copytree(folder, tmp_path / "copy")
    for path in folder.glob("checkpoints/*.ckpt"):
        truncate(path)
    line = error_line(*suite("run", f"resume={folder}"), 2)
    assert "expected a whole checkpoint, all are damaged: update=000003.ckpt (" in line
    assert f"start anew: remove {folder}/checkpoints" in line
    shutil.rmtree(folder / "checkpoints")
    assert_goes_on_as(suite, folder, undisturbed)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_checkpoint_cannot_bring_code(suite, monkeypatch, tmp_path):
    folder = stopped(suite, monkeypatch, tmp_path / "run")
    for path in folder.glob("checkpoints/*.ckpt"):
        torch.save({"state_dict": Evil()}, path)
    assert "all are damaged" in error_line(*suite("run", f"resume={folder}"), 2)
    assert not (tmp_path / "pwned").exists()


# numbers


def test_nan_in_the_loss_stops_before_it_reaches_a_weight(suite, monkeypatch, tmp_path, undisturbed):
    folder, terms = tmp_path / "run", rollout.policy_terms

    def bad(*arguments):
        bad.calls += 1
        found = terms(*arguments)
        return found._replace(loss=found.loss * float("nan")) if bad.calls == 12 else found

    bad.calls = 0
    with monkeypatch.context() as patch:
        patch.setattr(rollout, "policy_terms", bad)
        line = error_line(*suite("run", *OPTIONS, f"hydra.run.dir={folder}"), 1)
    assert "policy_loss=nan in optimiser step" in line
    assert "look at grad_norm and the losses in the last rows of metrics.csv" in line
    assert line.endswith(f"src/run.py resume={folder}")
    assert list(folder.glob("checkpoints/*.ckpt"))
    assert_goes_on_as(suite, folder, undisturbed)


@pytest.mark.parametrize("words", ["ppo.learning_rate=1e30 ppo.target_kl=null", "ppo.value_learning_rate=1e25"])
def test_learning_rates_that_diverge(suite, tmp_path, words):
    line = error_line(*suite("run", *OPTIONS, *words.split(), f"hydra.run.dir={tmp_path / 'run'}"), 1)
    assert "metrics.csv" in line
    assert "ppo.learning_rate" in line


# environments


@pytest.mark.parametrize(("fault", "code", "said"), [
    ("exit", 1, "its step() raised SystemExit (0) at fragile.py:"),
    pytest.param("raise", 1, "its step() raised ZeroDivisionError (the bus has no wheels) at fragile.py:", marks=SLOWLY),
    pytest.param("nan_reward", 2, "its step() gave the reward nan, expected a finite number", marks=SLOWLY),
])  # fmt: skip
def test_an_environment_goes_wrong(suite, monkeypatch, tmp_path, fault, code, said):
    monkeypatch.setenv("TRIGGER", str(tmp_path / "trigger"))
    options = [*FRAGILE, f"+env.kwargs.fault={fault}", "+env.kwargs.trigger=$TRIGGER"]
    assert suite("run", *options, f"hydra.run.dir={tmp_path / 'undisturbed'}")[0] == 0
    folder = stopped(suite, monkeypatch, tmp_path / "run", options, after=2)
    (tmp_path / "trigger").touch()
    line = error_line(*suite("run", *options, f"hydra.run.dir={folder}"), code)
    assert said in line
    assert "env.id=tests/Fragile-v0, environment " in line
    assert "actions since the episode began: [" in line
    assert "; then go on with: " in line
    assert line.endswith(f"{sys.executable} {ROOT}/src/run.py resume={folder} trust=true")
    (tmp_path / "trigger").unlink()
    assert_goes_on_as(suite, folder, tmp_path / "undisturbed", "trust=true")


# other processes


def test_the_second_process_on_a_folder_is_refused(suite, tmp_path, undisturbed):
    folder = tmp_path / "run"
    with started_script(["src/run.py", *OPTIONS, f"hydra.run.dir={folder}"], tmp_path / "output") as first:
        while not (folder / "config.yaml").exists():
            assert first.poll() is None
            time.sleep(0.005)
        os.kill(first.pid, signal.SIGSTOP)
        for again in ([f"resume={folder}"], [*OPTIONS, f"hydra.run.dir={folder}"]):
            line = error_line(*suite("run", *again), 2)
            assert f"run folder {folder}: in use by process {first.pid} on {os.uname().nodename}; expected" in line
        (folder / "DONE").touch()  # as if it had just finished
        assert f"in use by process {first.pid}" in error_line(*suite("evaluate", f"run={folder}", "episodes=2"), 2)
        (folder / "DONE").unlink()
    assert (folder / ".lock").exists()
    assert_goes_on_as(suite, folder, undisturbed)


@pytest.mark.parametrize("file", ["config.yaml", "checkpoints/update=000002.ckpt"])
def test_a_folder_that_is_renamed_under_a_run(suite, tmp_path, undisturbed, file):
    folder, moved = tmp_path / "run", tmp_path / "moved"
    with started_script(["src/run.py", *OPTIONS, f"hydra.run.dir={folder}"], tmp_path / "output") as process:
        while not (folder / file).exists():
            assert process.poll() is None
            time.sleep(0.001)
        folder.rename(moved)
        line = error_line(process.wait(60), process.errors.read_text(), 1)
    assert f"{folder}: was renamed or removed while it was in use; put it back or name its new place" in line
    assert not folder.exists()
    assert_goes_on_as(suite, moved, undisturbed)


# folders


def test_a_run_begins_in_a_new_or_empty_folder_only(suite, tmp_path):
    """The test runs in tmp_path, the project of somebody who types hydra.run.dir=. there."""
    for name in ("model/weights", "adapter/notes", "metrics.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    for name, content in (("evaluation.json", "[]"), ("provenance.json", "{}")):
        (tmp_path / name).write_text(content)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    line = error_line(*suite("run", *OPTIONS, "hydra.run.dir=."), 2)
    assert f"run folder {tmp_path}: expected a folder that is new, empty or this run's own; there is adapter in it" in line
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_checkpoints_of_another_run_are_not_gone_on_from(suite, undisturbed, tmp_path):
    shutil.copytree(undisturbed / "checkpoints", tmp_path / "run" / "checkpoints")
    line = error_line(*suite("run", *OPTIONS, "seed=6", f"hydra.run.dir={tmp_path / 'run'}"), 2)
    assert "there is checkpoints in it" in line


def test_what_a_run_leaves_that_is_killed_before_it_begins_is_taken_over(suite, tmp_path, undisturbed):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".lock", "choices.json", ".config.yaml.1.part"):
        (folder / name).write_text("{}")
    hydras = ["hydra/job_logging=default", "hydra.output_subdir=.hydra"]  # which Hydra writes before the run begins
    code, errors = suite("run", *OPTIONS, *hydras, f"hydra.run.dir={folder}")
    assert code == 0, errors
    assert result(folder) == result(undisturbed)


# disks


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own, and a function that mounts it anew with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode

    if shutil.which("mount") is None or mount("size=100k") != 0:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield folder, lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("kilobytes", [20, 400, *(pytest.param(more, marks=SLOWLY) for more in range(50, 1100, 75))])
def test_a_full_disk(suite, disk, undisturbed, kilobytes):
    folder, remount = disk
    assert remount(f"size={kilobytes}k") == 0
    line = error_line(*suite("run", *OPTIONS, f"hydra.run.dir={folder}/run"), 1)
    print(kilobytes, line)
    assert "No space left on device" in line
    assert "; make room there" in line
    assert not list(folder.rglob(".*"))
    assert remount("size=50m") == 0
    if (folder / "run" / "config.yaml").exists():
        assert f"then go on with: {sys.executable} {ROOT}/src/run.py resume={folder}/run" in line
        assert_goes_on_as(suite, folder / "run", undisturbed)


def test_a_disk_that_can_no_longer_be_written(suite, monkeypatch, disk, undisturbed):
    folder, remount = disk
    assert remount("size=50m") == 0
    stopped(suite, monkeypatch, folder / "run")
    assert remount("ro") == 0
    for words in ([f"resume={folder}/run"], [*OPTIONS, f"hydra.run.dir={folder}/other"]):
        line = error_line(*suite("run", *words), 1)
        assert "Read-only file system; make the folder writable, or name another" in line
    assert remount("rw") == 0
    assert_goes_on_as(suite, folder / "run", undisturbed)


def fill(folder, free):
    """Leave so many kB of a disk free."""
    (folder / "fill").unlink(missing_ok=True)
    (folder / "fill").write_bytes(bytes(max(0, shutil.disk_usage(folder).free - free * 1024)))


def test_a_full_disk_where_weights_are_written(suite, disk):
    folder, remount = disk
    assert remount("size=100m") == 0
    words = [*OPTIONS, "tuning=full", "total_steps=32", "retention.every=0", "retention.drift=false"]
    assert suite("run", *words, f"hydra.run.dir={folder}/run")[0] == 0
    shutil.rmtree(folder / "run" / "model")
    (folder / "run" / "DONE").unlink()
    fill(folder, 100)
    line = error_line(*suite("run", f"resume={folder}/run"), 1)
    assert f"{folder}/run/model: No space left on device; make room there; then go on with: " in line
    assert {path.name for path in folder.iterdir()} == {"fill", "run"}
    assert not list(folder.rglob(".*"))
    (folder / "fill").unlink()
    assert suite("run", f"resume={folder}/run")[0] == 0


@pytest.mark.slow  # 15 seconds
def test_a_full_disk_where_the_default_model_is_converted(suite, monkeypatch, disk):
    folder, _ = disk
    monkeypatch.setenv("TWOSOME_CACHE", str(folder / "cache"))
    line = error_line(*suite("probe", "prompt=hello", "actions=[one,two]"), 2)
    assert f"TWOSOME_CACHE={folder}/cache: cannot write the converted model (No space left on device)" in line
    assert not list((folder / "cache").iterdir())
