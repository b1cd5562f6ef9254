"""What goes wrong around a run: one line says so, nothing half-written stays, and the resumed run is the undisturbed one."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from checkout import ROOT, run, started_script
from omegaconf import OmegaConf
from test_resume import result

from twosome.algorithms import rollout
from twosome.algorithms.ppo import update
from twosome.signals import Interrupted

UPDATES = 6
SMALL = ["model=tiny_random", f"total_steps={UPDATES * 4 * 8}", "ppo.num_envs=4", "ppo.num_steps=8", "evaluation.episodes=2",
         "evaluation.gif=false", "retention.every=2", "retention.limit=1", "seed=5"]  # fmt: skip
OPTIONS = [*SMALL, "env.kwargs.max_primitive_steps=40"]
FRAGILE = [*SMALL, "~env.task", "~env.prompt", "~env.ppo_learning_rates", "~env.kwargs", "env.id=fragile:tests/Fragile-v0"]


@pytest.fixture
def suite(monkeypatch, capfd, tmp_path):
    """A function that runs src/<name>.py in this process, which has its libraries already: gives exit code and stderr."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "envs"))

    def call(name, *words):
        monkeypatch.setattr(sys, "argv", [f"src/{name}.py", *map(str, words)])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setattr("twosome.failures._failures", [])  # of this process so far
        capfd.readouterr()
        code = 0
        try:
            runpy.run_path(str(ROOT / "src" / f"{name}.py"), run_name="__main__")
        except SystemExit as stop:
            code = stop.code or 0
        return code, capfd.readouterr().err

    return call


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The run that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    (ended,) = run(
        folder.parent, [[str(ROOT / "src" / "run.py"), *OPTIONS, f"hydra.run.dir={folder}"]], PYTHONPATH=str(ROOT / "src")
    )
    assert ended.code == 0, ended.output
    return folder


def stopped(suite, monkeypatch, folder, options=OPTIONS, after=3):
    """A run into folder that ended after some updates, with their checkpoints."""
    ended = update.update_critic

    def end(*arguments):
        if end.calls == after:
            raise Interrupted(signal.SIGTERM)
        end.calls += 1
        return ended(*arguments)

    end.calls = 0
    with monkeypatch.context() as patch:
        patch.setattr("twosome.algorithms.ppo.ppo.update_critic", end)
        code, _ = suite("run", *options, f"hydra.run.dir={folder}")
    assert code == 143
    assert len(list(folder.glob("checkpoints/*.ckpt"))) == min(after, 2)
    return folder


def error_line(code, errors, expected_code):
    """The last line, which is the only one that begins with error; progress may come before it."""
    assert code == expected_code, errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert lines == errors.splitlines()[-1:]
    assert "Traceback" not in errors
    return lines[0]


def assert_goes_on_as(suite, folder, undisturbed, *words):
    """Resumed, the run ends as the undisturbed one, and leaves no parts of files."""
    code, errors = suite("run", f"resume={folder}", *words)
    assert code == 0, errors
    assert result(folder) == result(undisturbed)
    assert not [path for path in folder.rglob(".*")]
    assert len(list(folder.glob("checkpoints/*.ckpt"))) == 2
    return errors


# checkpoints


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path):
    """In the middle of a tensor, where the file can still be opened and PyTorch would not notice."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


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
    assert line.endswith(f"; then go on with: {sys.executable} {ROOT}/src/run.py resume={folder}")
    (tmp_path / "trigger").unlink()
    assert_goes_on_as(suite, folder, tmp_path / "undisturbed", "env.id=fragile:tests/Fragile-v0")


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


# folders from elsewhere


@pytest.mark.parametrize(
    "change",
    [
        {"norm._target_": "os.system"},
        {"baseline.critic": {"_target_": "pickle.loads"}},
        {"logger.evil": {"_target_": "subprocess.check_output"}},
        {"env.id": "antigravity:Fly-v0"},
        {"env.prompt": "antigravity:fly"},
        {"env.prompt": "twosome.cli.entry:os.system"},
        {"model.trust_remote_code": True},
        {"model.allow_pickle": True},
    ],
)
def test_resuming_a_foreign_folder_runs_no_code_of_it(suite, monkeypatch, undisturbed, tmp_path, change):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    (folder / "DONE").unlink()
    config = OmegaConf.load(folder / "config.yaml")
    for name, value in change.items():
        OmegaConf.update(config, name, value, force_add=True)
    OmegaConf.save(config, folder / "config.yaml")
    monkeypatch.setattr("twosome.runs.run.Job", None)  # nothing gets so far
    line = error_line(*suite("run", f"resume={folder}"), 2)
    assert f"{next(iter(change))}" in line
    assert "expected" in line


def test_weights_that_are_not_those_recorded_are_refused(suite, undisturbed, tmp_path):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    recorded = json.loads((folder / "provenance.json").read_text())["export_checksums"]
    (name,) = recorded
    digest = subprocess.run(["sha256sum", folder / name], capture_output=True, text=True, check=True).stdout.split()[0]
    assert recorded == {"adapter/adapter_model.safetensors": digest}
    flip_a_bit(folder / name)
    line = error_line(*suite("evaluate", f"run={folder}", "episodes=2"), 2)
    assert f"{folder / name}: its sha256 is" in line
    assert f"expected {digest} as in provenance.json" in line


def test_a_model_other_than_the_runs_is_refused(suite, undisturbed, tmp_path):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    provenance = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps(provenance | {"model_checksum": "0" * 64}))
    assert "the run needs the weights that it began with" in error_line(*suite("evaluate", f"run={folder}", "episodes=2"), 2)
    (folder / "DONE").unlink()
    assert "the run needs the weights that it began with" in error_line(*suite("run", f"resume={folder}"), 2)
    (folder / "provenance.json").write_text(json.dumps(provenance | {"model_dtype": "bfloat16"}))
    assert "computes in float32, expected bfloat16" in error_line(*suite("run", f"resume={folder}"), 2)


@pytest.mark.parametrize("name", ["config.yaml", "choices.json", "provenance.json"])
def test_a_folder_whose_files_are_damaged_is_one_line(suite, undisturbed, tmp_path: Path, name):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    (folder / "DONE").unlink()
    truncate(folder / name)
    (folder / name).write_text((folder / name).read_text() + "\n{[")
    assert str(folder / name) in error_line(*suite("run", f"resume={folder}", "seed=5"), 2)


def wider(folder):
    config = OmegaConf.load(folder / "config.yaml")
    config.tuning.rank += 1
    OmegaConf.save(config, folder / "config.yaml")


def binary(folder):
    (folder / "episodes.csv").write_bytes(bytes(range(256)))


def of_a_list(folder):
    for path in folder.glob("checkpoints/*.ckpt"):
        torch.save([1], path)


def of_weights_alone(folder):
    for path in folder.glob("checkpoints/*.ckpt"):
        torch.save({"state_dict": {}}, path)


def of_a_word(folder):
    (folder / "evaluation.json").write_text('["a"]')


def of_a_wrong_type(folder):
    (folder / "evaluation.json").write_text('[{"when": 3}]')


def locked_by_a_folder(folder):
    (folder / ".lock").mkdir()


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (wider, 2, "in the checkpoint and (9, 32) by config.yaml; expected the configuration that the run began with"),
        (binary, 2, "episodes.csv: expected a readable table ("),
        (of_a_list, 2, "(no mapping)"),
        (of_weights_alone, 2, "(no checkpoint of a run: it lacks callbacks, epoch, "),
        (of_a_word, 2, "evaluation.json: record 1: it is 'a'; expected what src/evaluate.py writes"),
        (of_a_wrong_type, 2, "evaluation.json: record 1: when is 3; expected what src/evaluate.py writes"),
        (locked_by_a_folder, 1, "/.lock: Is a directory; look at the folder's name and at what is there; then go on with: "),
    ],
)
def test_a_folder_that_holds_something_else_is_one_line(suite, undisturbed, tmp_path, change, code, said):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    (folder / "DONE").unlink()
    change(folder)
    assert said in error_line(*suite("run", f"resume={folder}"), code)
