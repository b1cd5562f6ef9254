"""Runs: what their folder holds, where they begin, and that a stopped one goes on to the same bytes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkout import ROOT, call, environment, result
from filelock import FileLock
from omegaconf import OmegaConf
from small import SMALL

import twosome
from twosome.errors import UserError

WORDS = [*SMALL, "evaluation.episodes=2", "retention.drift=true", "retention.limit=1", "retention.every=1"]


def stopped(folder: Path, to: Path) -> Path:
    """Copy a run as it was before its last update."""
    shutil.copytree(folder, to)
    (to / "DONE").unlink()
    (to / "checkpoints" / "update=000003.ckpt").unlink()
    shutil.rmtree(to / "adapter")
    return to


def test_a_folder_holds_what_a_run_is_made_of(undisturbed: Path) -> None:
    provenance = json.loads((undisturbed / "provenance.json").read_text())
    assert (provenance["task"], provenance["method"], provenance["seed"]) == ("tomato_salad", "twosome-word", 3)
    assert list(provenance["export_checksums"]) == ["adapter/adapter_model.safetensors"]
    assert OmegaConf.load(undisturbed / "overrides.yaml") == WORDS
    assert sorted(path.name for path in undisturbed.glob("checkpoints/*")) == ["update=000002.ckpt", "update=000003.ckpt"]
    assert not (undisturbed / ".lock").exists()


def test_a_stopped_run_goes_on_to_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    folder = stopped(undisturbed, tmp_path / "run")
    twosome.run(f"resume={folder}")
    assert result(folder) == result(undisturbed)


def test_the_same_command_goes_on_in_its_folder(undisturbed: Path, tmp_path: Path) -> None:
    folder = stopped(undisturbed, tmp_path / "run")
    twosome.run(*WORDS, folder=folder)
    assert result(folder) == result(undisturbed)


def test_a_killed_run_goes_on_to_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [sys.executable, str(ROOT / "src/run.py"), *WORDS, f"hydra.run.dir={folder}"]
    own = environment() | {"PYTHONPATH": str(ROOT / "src")}
    killed = subprocess.Popen(words, env=own, cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while not (folder / "checkpoints" / "update=000001.ckpt").exists():
        assert killed.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (folder / "DONE").exists()
    twosome.run(f"resume={folder}")
    assert result(folder) == result(undisturbed)


def test_ctrl_c_prints_the_command_that_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [sys.executable, str(ROOT / "src/run.py"), *WORDS, "total_steps=3200", f"hydra.run.dir={folder}"]
    own = environment() | {"PYTHONPATH": str(ROOT / "src")}
    stopped = subprocess.Popen(words, env=own, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 300
    while not (folder / "checkpoints").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(stopped.pid, signal.SIGINT)
    _, errors = stopped.communicate(timeout=60)
    assert stopped.returncode != 0
    assert f"interrupted; go on with: python {ROOT / 'src/run.py'} resume={folder}" in errors


def test_a_finished_run_is_left_alone(undisturbed: Path) -> None:
    before = (undisturbed / "provenance.json").stat().st_mtime_ns
    twosome.run(f"resume={undisturbed}")
    assert (undisturbed / "provenance.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(("words", "message"), [
    (["seed=4"], "has seed=3, not 4"),
    (["norm=token"], "has norm._target_=twosome.language.norms.word, not twosome.language.norms.token"),
])  # fmt: skip
def test_another_run_is_not_begun_in_the_folder(undisturbed: Path, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        twosome.run(*WORDS, *words, folder=undisturbed)


def test_a_resumed_run_keeps_its_options(undisturbed: Path) -> None:
    with pytest.raises(UserError, match="seed=4: expected only options of trainer beside resume="):
        twosome.run(f"resume={undisturbed}", "seed=4")


def test_a_run_begins_only_in_a_new_or_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"there is thesis\.tex in it"):
        twosome.run(*SMALL, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_processes_do_not_share_a_folder(undisturbed: Path, tmp_path: Path) -> None:
    folder = stopped(undisturbed, tmp_path / "run")
    with FileLock(folder / ".lock"), pytest.raises(UserError, match="in use by"):
        twosome.run(f"resume={folder}")


def test_training_starts_from_another_runs_weights(undisturbed: Path, tmp_path: Path) -> None:
    begun = twosome.run(*SMALL, f"init={undisturbed}", "evaluation.episodes=2", folder=tmp_path / "run")
    before = [record["return_mean"] for record in begun.records if record["when"] == "before"]
    after = json.loads((undisturbed / "evaluation.json").read_text())
    assert before == [record["return_mean"] for record in after if record["when"] == "after"]
    origin = json.loads((begun.folder / "provenance.json").read_text())["init"]
    assert (origin["run"], origin["method"]) == (str(undisturbed), "twosome-word")


@pytest.mark.parametrize(("words", "message"), [
    (["seed=-1"], "error: seed=-1: expected an integer from 0 to 2**32 - 1"),
    (["seed=one"], "error: seed: Value 'one' of type 'str' could not be converted to Integer"),
    (["total_steps=0"], "error: total_steps=0: expected an integer above 0"),
    (["env.task=soup"], "task=soup: expected one of"),
    (["model=hf", "model.path=/no/such"], "/no/such"),
    (["resume=/no/such"], "error: run folder /no/such: expected a config.yaml in it"),
    (["init=/no/such"], "error: init=/no/such: expected the folder of a finished run"),
])  # fmt: skip
def test_bad_input_is_one_line(tmp_path: Path, words: list[str], message: str) -> None:
    ended = call(tmp_path, ["src/run.py", *SMALL, *words] if "resume" not in words[0] else ["src/run.py", *words])
    assert (ended.code, len(ended.output.splitlines())) == (2, 1), ended.output
    assert message in ended.output


def test_hydra_reports_its_own_errors(tmp_path: Path) -> None:
    ended = call(tmp_path, ["src/run.py", "norm=words"])
    assert ended.code == 1
    assert "Could not find 'norm/words'" in ended.output
    assert "Available options in 'norm'" in ended.output


def test_in_a_sweep_a_failed_job_does_not_stop_the_others(tmp_path: Path) -> None:
    ended = call(tmp_path, ["src/run.py", "-m", *SMALL, "seed=-1,1", "hydra.sweep.dir=sweep"])
    assert ended.code == 1
    assert "error: seed=-1: expected" in ended.output
    assert (tmp_path / "sweep" / "1" / "DONE").exists()
