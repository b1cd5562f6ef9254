"""Resume a run with its own configuration."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from twosome.config import CONFIGS, leaves
from twosome.errors import UserError
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


RUNS_CODE = ("model.trust_remote_code", "model.allow_pickle")
"""Options that let a model's folder run code."""

Keys = tuple[str, ...]


def check_foreign(config: DictConfig, trust: bool, asked: DictConfig | None = None) -> None:
    """Raise UserError if a run folder's configuration names code that neither a file of ``conf/`` nor the user names.

    trust: whether the user allows it all. asked: the composition of the command line.
    """
    for option, value in () if trust else foreign(config):
        if asked is None or OmegaConf.select(asked, option) != value:
            raise UserError(
                f"{option}={value}: this is in the run folder's config.yaml, and it can run code or write files; expected what "
                "a file of conf/ has; if you trust where the run comes from, add trust=true"
            )


def foreign(config: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield the options, with their values, that can run code or write files and are not as in a file of ``conf/``."""
    for keys, value in _entries(OmegaConf.to_container(config, resolve=False)):
        if not isinstance(value, dict | list) and _is_risky(keys, value) and value not in _known(keys):
            yield ".".join(keys), value


def _is_risky(keys: Keys, value: Any) -> bool:
    """Return whether an option can run code or write files.

    These are Hydra's keys (``_target_``, ``_args_``, ...), loggers, options of Lightning's trainer that are words, the ids and
    import paths of environments, and RUNS_CODE.
    """
    if any(key.startswith("_") and key.endswith("_") for key in keys) or keys[0] == "logger":
        return True
    if keys[0] == "trainer":
        return isinstance(value, str) or value not in _known(keys)
    return (keys[0] == "env" and (keys[1] == "id" or ":" in str(value))) or (".".join(keys) in RUNS_CODE and bool(value))


def _known(keys: Keys) -> list[Any]:
    """Return the values that the files of ``conf/`` have at this place: below the group that the option belongs to."""
    groups = [number for number, key in enumerate(keys[:-1]) if (CONFIGS / key).is_dir()]
    if not groups:
        return []
    group, own = keys[groups[-1]], keys[groups[-1] + 1 :]
    return [value for place, value in _entries_of_files(group) if place in (own, (group, *own))]


@cache
def _entries_of_files(group: str) -> list[tuple[Keys, Any]]:
    """Return the entries of all files of a group of ``conf/``, which are read once."""
    files = [yaml.safe_load(file.read_text()) for file in CONFIGS.glob(f"{group}/**/*.yaml")]
    return [entry for content in files for entry in _entries(content)]


def _entries(tree: Any, path: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield the entries of nested maps and lists with their places."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*path, str(key)), value
        yield from _entries(value, (*path, str(key)))
