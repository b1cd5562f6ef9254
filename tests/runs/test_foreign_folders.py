"""Folders of runs that come from elsewhere, or were changed: one line says so, and no code of theirs runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from checkout import ROOT, run
from fault_tools import assert_goes_on_as, error_line, flip_a_bit, stopped, truncate
from omegaconf import OmegaConf


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


@pytest.mark.parametrize("name", ["task", "prompt", "method"])
def test_texts_of_a_folder_do_not_control_the_terminal(undisturbed, tmp_path, name):
    folder, text = shutil.copytree(undisturbed, tmp_path / "run"), "\x1b]0;pwned\x07\x1b[31m[/red]"
    config, provenance = OmegaConf.load(folder / "config.yaml"), json.loads((folder / "provenance.json").read_text())
    if name == "method":
        (folder / "provenance.json").write_text(json.dumps(provenance | {"method": text}))
        records = json.loads((folder / "evaluation.json").read_text())
        (folder / "evaluation.json").write_text(json.dumps([records[0] | {"mode": text}, *records]))
    else:
        config.env[name] = text
        OmegaConf.save(config, folder / "config.yaml")
    command = [str(ROOT / "src/evaluate.py"), "run=run", "episodes=2"]
    (ended,) = run(tmp_path, [command], PYTHONPATH=str(ROOT / "src"), COLUMNS="200")
    assert ended.code == (0 if name == "method" else 2), ended.output
    assert "\x1b" not in ended.output
    assert r"\x1b]0;pwned" in ended.output


def another_run(folder):
    config = OmegaConf.load(folder / "config.yaml")
    config.seed += 1
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
        (
            another_run,
            2,
            "resume: the checkpoint is of a run with another configuration than config.yaml; expected this run's own",
        ),
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


def test_a_checkpoint_cannot_name_files_to_be_removed(suite, monkeypatch, undisturbed, tmp_path):
    """Lightning's ModelCheckpoint removes what its state in a checkpoint names, by any of fsspec's protocols."""
    folder, precious = stopped(suite, monkeypatch, tmp_path / "run"), tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").touch()
    key = (
        "ModelCheckpoint{'monitor': 'update', 'mode': 'max', 'every_n_train_steps': 0, 'every_n_epochs': 1, "
        "'train_time_interval': None}"
    )
    worst = f"local://{precious}"
    state = {
        **dict.fromkeys(("best_model_score", "best_model_path", "current_score", "last_model_path"), ""),
        **{"dirpath": str(folder / "checkpoints"), "kth_best_model_path": worst, "kth_value": torch.tensor(1.0)},
        "best_k_models": {worst: torch.tensor(1.0), "another": torch.tensor(2.0)},
    }
    for path in folder.glob("checkpoints/*.ckpt"):
        content = torch.load(path, weights_only=True)
        content["callbacks"][key] = state
        torch.save(content, path)
    assert_goes_on_as(suite, folder, undisturbed)
    assert (precious / "thesis").exists()


def link(path, tmp_path):
    (tmp_path / "key").write_text("secret")
    path.symlink_to(tmp_path / "key")


def link_within(path, tmp_path):
    path.symlink_to("config.yaml")


def pipe(path, tmp_path):
    os.mkfifo(path)


OPENING = {
    "run": ["resume=RUN"],
    "evaluate": ["run=RUN", "episodes=2"],
    "watch": ["run=RUN", "episodes=1", "to=watch.html"],
    "export": ["run=RUN", "to=exported"],
}


@pytest.mark.parametrize(
    ("name", "put"), [("retention.csv", link), ("DONE", pipe), ("tensorboard/hparams.yaml", pipe), ("latest", link_within)]
)
def test_whoever_opens_a_folder_wants_files_and_folders_only(suite, undisturbed, tmp_path, name, put):
    """A link's target would be read, copied or written; a pipe is waited for."""
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    (folder / name).unlink(missing_ok=True)
    put(folder / name, tmp_path)
    for command, words in OPENING.items():
        line = error_line(*suite(command, *(word.replace("RUN", str(folder)) for word in words)), 2)
        assert f"{folder / name}: expected only files and folders in {folder}, this is a " in line
    words = [sys.executable, str(ROOT / "analysis" / "summary.py"), str(folder), "--out", str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stderr.startswith(f"error: {folder / name}: expected only files and folders")
    assert not [path for path in (tmp_path / "exported", tmp_path / "out", tmp_path / "watch.html") if path.exists()]


def test_the_folder_itself_may_be_a_link_and_weights_and_biases_may_have_some(suite, undisturbed, tmp_path):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    (folder / "wandb").mkdir()
    (folder / "wandb" / "latest-run").symlink_to("run-1")
    (tmp_path / "alias").symlink_to(folder)
    assert suite("run", f"resume={tmp_path / 'alias'}") == (0, f"{tmp_path / 'alias'}: finished already\n")
