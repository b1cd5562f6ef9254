"""Resume a run with its own configuration."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from twosome.config import leaves
from twosome.errors import UserError
from twosome.experiment.trust import check_foreign
from twosome.storage.folder import RunFolder

IRRELEVANT = ("hydra", "resume", "trust", "logger", "checkpoint_every", "label")
"""Options that do not change what a run computes. Runs that differ in another option are different runs."""


def same_config(asked: DictConfig, folder: RunFolder) -> DictConfig:
    """Return the configuration of the run in the folder. Raises UserError if asked, what was composed, is another run."""
    config = folder.opened().config
    own, others = (dict(leaves(_relevant(each))) for each in (config, asked))
    for name in sorted(own.keys() | others.keys(), key=lambda name: ("." in name, name)):
        if (name in own, own.get(name)) != (name in others, others.get(name)):
            raise UserError(
                f"run folder {folder.path}: expected a new folder, or the same run; the run in it has {name}="
                f"{own.get(name, 'unset')}, not {others.get(name, 'unset')}"
            )
    return _trusted(config, asked)


def resumed_config(asked: DictConfig, folder: RunFolder, overrides: Sequence[str]) -> DictConfig:
    """Return the configuration of the run in the folder that ``resume`` names.

    overrides: the words of the command line. Only options of ``trainer`` may change, so that a run can go on elsewhere. Raises
    UserError if the folder holds no run, and if the run's configuration names code from outside the suite without ``trust=true``.
    """
    config = folder.opened().config
    for word in overrides:
        group = word.lstrip("+~").partition("=")[0].partition(".")[0]
        if group not in ("resume", "trust", "trainer", "hydra"):
            raise UserError(f"{word}: expected only options of trainer beside resume=; the run keeps its own, leave it out")
        if group == "trainer":
            config.trainer = asked.trainer
    return _trusted(config, asked)


def _trusted(config: DictConfig, asked: DictConfig) -> DictConfig:
    check_foreign(config, asked.trust is True, asked)
    config.resume, config.trust = asked.resume, asked.trust
    return config


def fingerprint(config: DictConfig, *without: str) -> str:
    """Return a hash of eight hexadecimal digits; it is equal for configurations of the same run.

    without: groups that do not count.
    """
    text = json.dumps({name: value for name, value in _relevant(config).items() if name not in without}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _relevant(config: DictConfig) -> dict[str, Any]:
    chosen = OmegaConf.masked_copy(config, [str(key) for key in config if key not in IRRELEVANT])
    return OmegaConf.to_container(chosen, resolve=True)  # type: ignore[return-value]


def finished_run(path: str | Path, option: str = "run") -> RunFolder:
    """Return the folder of a finished run; raise UserError, with the remedy, if it is not one. option: which has the value."""
    folder = RunFolder(Path(path))
    if not folder.started:
        raise UserError(f"{option}={path}: expected the folder of a finished run, with a config.yaml in it")
    if not folder.opened().done:
        raise UserError(f"{option}={path}: this run is not finished; finish it with: python src/run.py resume={path}")
    return folder
