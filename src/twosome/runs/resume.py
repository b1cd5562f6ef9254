"""Going on with a run: its own configuration, and nothing else."""

import hashlib
import json
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from twosome.config import leaves
from twosome.errors import UserError
from twosome.runs.trust import check_foreign
from twosome.storage.folder import RunFolder

IRRELEVANT = ("hydra", "resume", "logger", "checkpoint_every", "label")
"""Options that say nothing about what a run computes; every other one makes it another run."""


def same_config(asked: DictConfig, folder: RunFolder) -> DictConfig:
    """The configuration of the run that is in the folder already, with ``resume`` set.

    Raises UserError where asked, what the command line composed, would be another run.
    """
    config = folder.config
    if different := differences(asked, config):
        here, there = (dict(leaves(_plain(_relevant(each)))) for each in (config, asked))
        shown = ", ".join(f"{key}={here.get(key, 'unset')} (not {there.get(key, 'unset')})" for key in different[:5])
        more = f" and {len(different) - 5} more" if len(different) > 5 else ""
        raise UserError(
            f"run folder {folder.path}: expected a new folder, or the same run; there is another one in it, with {shown}{more}"
        )
    check_foreign(config, asked, "{} to the command")
    config.resume = str(folder.path)
    return config


def resumed_config(asked: DictConfig, folder: RunFolder, overrides: list[str]) -> DictConfig:
    """The folder's configuration, with ``resume`` set.

    asked: what the command line composed. overrides: its words; they may repeat what the run has, and not change it, except for
    ``trainer``: a run may go on elsewhere. Raises UserError where folder holds no run, an override differs, or the run would run
    code from elsewhere.
    """
    config = folder.config
    choices = folder.read_json("choices.json", {})
    for override in OverridesParser.create().parse_overrides(overrides):
        key = override.key_or_group
        if key == "resume" or key.startswith("hydra."):
            continue
        if key.partition(".")[0] == "trainer":
            OmegaConf.update(config, key, OmegaConf.select(asked, key), merge=False, force_add=True)
            continue
        if key in choices:  # its options are compared where they are given
            old, new = choices[key], override.value()
        else:
            old, new = (_plain(OmegaConf.select(each, key)) for each in (config, asked))
        if old != new:
            raise UserError(
                f"{key}={override.value()}: expected {key}={old}, as in the run of {folder.path}; leave it out, "
                "or start a new run without resume"
            )
    check_foreign(config, asked, "{} to the command")
    config.resume = str(folder.path)
    return config


def differences(config: DictConfig, other: DictConfig) -> list[str]:
    """The options, dotted, in which two configurations would train different runs."""
    one, two = (dict(leaves(_plain(_relevant(each)))) for each in (config, other))
    return sorted(key for key in one.keys() | two.keys() if (key in one, one.get(key)) != (key in two, two.get(key)))


def fingerprint(config: DictConfig) -> str:
    """Eight hexadecimal digits that are the same for configurations without differences."""
    text = json.dumps(_plain(_relevant(config)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _relevant(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(key) for key in config if key not in IRRELEVANT])


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
