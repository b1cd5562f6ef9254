"""A run's folder from a stranger: nothing in it is imported or called, and no file outside of it is written or read."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from checkout import call
from omegaconf import OmegaConf

import twosome
from twosome.errors import UserError


class Payload:
    """A pickle that makes a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


@pytest.fixture
def folder(undisturbed: Path, tmp_path: Path) -> Path:
    """A finished run's folder."""
    return shutil.copytree(undisturbed, tmp_path / "run")


@pytest.mark.parametrize("change", [
    {"norm._target_": "os.system"},
    {"norm._args_": ["touch pwned"]},
    {"algorithm._target_": "os.system"},
    {"baseline.critic": {"_target_": "pickle.loads"}},
    {"baseline._target_": "pytorch_lightning.loggers.WandbLogger"},
    {"logger.evil": {"_target_": "subprocess.check_output"}},
    {"logger.tensorboard.save_dir": "/tmp"},
    {"trainer.strategy": "module.Strategy"},
    {"env.id": "antigravity:Fly-v0"},
    {"env.prompt": "antigravity:fly"},
    {"env.kwargs.map": "antigravity:fly"},
    {"model.trust_remote_code": True},
    {"model.allow_pickle": True},
], ids=str)  # fmt: skip
def test_a_configuration_runs_only_code_of_conf(folder: Path, change: dict[str, object]) -> None:
    config = OmegaConf.load(folder / "config.yaml")
    for name, value in change.items():
        OmegaConf.update(config, name, value, force_add=True)
    OmegaConf.save(config, folder / "config.yaml")
    with pytest.raises(UserError, match=r"it can run code or write files; expected what a file of conf/ has"):
        twosome.evaluate(folder, "episodes=1")
    (folder / "DONE").unlink()
    with pytest.raises(UserError, match=r"it can run code or write files; expected what a file of conf/ has"):
        twosome.run(f"resume={folder}")


def test_a_yaml_tag_is_not_constructed(folder: Path) -> None:
    content = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(f"{content}evil: !!python/object/apply:os.system ['touch {folder / 'pwned'}']\n")
    with pytest.raises(yaml.YAMLError):
        twosome.evaluate(folder, "episodes=1")
    assert not (folder / "pwned").exists()


def test_a_checkpoint_is_not_unpickled(folder: Path) -> None:
    (folder / "DONE").unlink()
    last = folder / "checkpoints" / "update=000003.ckpt"
    content = torch.load(last, weights_only=True)
    torch.save(content | {"evil": Payload(folder / "pwned")}, last)
    with pytest.raises(pickle.UnpicklingError):
        twosome.run(f"resume={folder}")
    assert not (folder / "pwned").exists()


def test_a_checkpoint_of_another_run_is_refused(folder: Path) -> None:
    (folder / "DONE").unlink()
    last = folder / "checkpoints" / "update=000003.ckpt"
    content = torch.load(last, weights_only=True)
    content["run"]["fingerprint"] = "00000000"
    torch.save(content, last)
    with pytest.raises(UserError, match="the checkpoint is of a run with another configuration"):
        twosome.run(f"resume={folder}")


def test_links_and_pipes_are_refused(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="this is a link"):
        twosome.evaluate(folder, "episodes=1")
    (folder / "link").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(UserError, match="a pipe"):
        twosome.evaluate(folder, "episodes=1")


def test_weights_that_are_not_those_recorded_are_refused(folder: Path) -> None:
    weights = folder / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(UserError, match="its adapter/ has other weights, expected those whose checksums are in provenance"):
        twosome.evaluate(folder, "episodes=1")


def test_texts_of_a_folder_do_not_control_the_terminal(folder: Path, tmp_path: Path) -> None:
    config = OmegaConf.load(folder / "config.yaml")
    config.env.task = "\x1b]0;pwned\x07"
    OmegaConf.save(config, folder / "config.yaml")
    ended = call(tmp_path, ["src/evaluate.py", f"run={folder}", "episodes=1"])
    assert ended.code == 2
    assert "\x1b" not in ended.output
    assert r"\x1b]0;pwned" in ended.output


def test_trust_allows_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_norm.py").write_text("def own(prompt, tokens):\n    return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = OmegaConf.load(folder / "config.yaml")
    config.norm._target_ = "own_norm.own"
    OmegaConf.save(config, folder / "config.yaml")
    with pytest.raises(UserError, match="trust=true"):
        twosome.evaluate(folder, "episodes=1")
    assert twosome.evaluate(folder, "episodes=1", "trust=true").records
