"""Resume a run with its own configuration."""

import hashlib
import json
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from twosome.config import leaves
from twosome.errors import UserError
from twosome.runs.trust import check_foreign
from twosome.storage.folder import RunFolder

IRRELEVANT = ("hydra", "resume", "trust", "logger", "checkpoint_every", "label")
"""Options that do not change what a run computes. Runs that differ in another option are different runs."""
ADDED = {"init": None}
"""Options that runs of earlier versions do not have, each with the value that changes nothing: with it, it does not count."""


def same_config(asked: DictConfig, folder: RunFolder) -> DictConfig:
    """Return the configuration of the run in the folder, with ``resume`` set.

    asked: the composition of the command line. Raises UserError if it describes another run.
    """
    config = folder.opened().config
    if different := differences(asked, config):
        here, there = (dict(leaves(_relevant(each))) for each in (config, asked))
        shown = ", ".join(f"{key}={here.get(key, 'unset')} (not {there.get(key, 'unset')})" for key in different[:5])
        more = f" and {len(different) - 5} more" if len(different) > 5 else ""
        raise UserError(
            f"run folder {folder.path}: expected a new folder, or the same run; there is another one in it, with {shown}{more}"
        )
    return _trusted(config, asked, folder)


def resumed_config(asked: DictConfig, folder: RunFolder, overrides: list[str]) -> DictConfig:
    """Return the folder's configuration, with ``resume`` set.

    asked: the composition of the command line. overrides: its words. They may repeat the run's options but not change them,
    except for ``trainer``, so that a run can continue on another machine. Raises UserError if folder holds no run, an override
    differs, or the run's configuration names code from outside the suite without ``trust=true``.
    """
    config = folder.opened().config
    choices = folder.read_json("choices.json", {})
    for override in OverridesParser.create().parse_overrides(overrides):
        key = override.key_or_group
        if key in ("resume", "trust") or key.startswith("hydra."):
            continue
        if key.partition(".")[0] == "trainer":
            OmegaConf.update(config, key, OmegaConf.select(asked, key), merge=False, force_add=True)
            continue
        if key in choices:  # a group; its options are compared if they are given
            old, new = choices[key], override.value()
        else:
            old, new = (_plain(OmegaConf.select(each, key)) for each in (config, asked))
        if old != new:
            raise UserError(
                f"{key}={override.value()}: expected {key}={old}, as in the run of {folder.path}; leave it out, "
                "or start a new run without resume"
            )
    return _trusted(config, asked, folder)


def _trusted(config: DictConfig, asked: DictConfig, folder: RunFolder) -> DictConfig:
    """Set ``resume``, and ``trust`` as on the command line; return the configuration. Raises UserError for foreign code."""
    check_foreign(config, asked.trust is True, asked)
    config.resume, config.trust = str(folder.path), asked.trust
    return config


def differences(config: DictConfig, other: DictConfig) -> list[str]:
    """Return the dotted names of the options in which two configurations differ, without IRRELEVANT."""
    one, two = (dict(leaves(_relevant(each))) for each in (config, other))
    return sorted(key for key in one.keys() | two.keys() if (key in one, one.get(key)) != (key in two, two.get(key)))


def fingerprint(config: DictConfig, *without: str) -> str:
    """Return a hash of eight hexadecimal digits; it is equal for configurations without `differences`.

    without: groups that do not count.
    """
    text = json.dumps({name: value for name, value in _relevant(config).items() if name not in without}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _relevant(config: DictConfig) -> dict[str, Any]:
    found = _plain(OmegaConf.masked_copy(config, [str(key) for key in config if key not in IRRELEVANT]))
    for name, default in ADDED.items():
        *groups, key = name.split(".")
        group = found
        for each in groups:
            group = group.get(each) or {}
        if group.get(key, default) == default:
            group.pop(key, None)
    return dict(found)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
