"""Checks of the code that a configuration names: builders, norms, algorithms and loggers, each at its place.

A run's folder may come from an untrusted source. Its configuration may name what the files of ``conf/`` name, and what the user
names on the command line. Everything else is refused before anything is imported or called.
"""

from collections.abc import Iterator
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from twosome.config import CONFIGS
from twosome.errors import UserError
from twosome.plain import Keys, walk

TARGET, PARTIAL = "_target_", "_partial_"
PLACES: dict[Keys, str] = {
    **{
        (group,): group
        for group in ("norm", "baseline", "algorithm", "affordance", "engine", "tuning", "value_head", "policy_head")
    },
    ("baseline", "affordance"): "affordance",
}
"""The options that may have a target, besides logger.<name>: their keys, and the folder of ``conf/`` with their choices."""
RUNS_CODE = ("model.trust_remote_code", "model.allow_pickle")
"""Options that let a model's folder run code."""


def check_places(config: DictConfig) -> None:
    """Raise UserError if one of Hydra's keys for calling code (``_target_``, ``_args_``, ...) is not at one of PLACES."""
    for keys, value in _entries(config):
        key, place = keys[-1], keys[:-1]
        fits = isinstance(value, str) if key == TARGET else key == PARTIAL and isinstance(value, bool)
        if key.startswith("_") and key.endswith("_") and not (fits and _has_target(place)):
            places = ", ".join(map(".".join, PLACES))
            raise UserError(
                f"{'.'.join(keys)}={value}: expected no such key there; only {places} and logger.<name> have a {TARGET}, "
                f"an import path, and a {PARTIAL}, true or false; leave it out"
            )


def check_foreign(config: DictConfig, trust: bool, asked: DictConfig | None = None) -> None:
    """Raise UserError if a run folder's configuration names code that neither a file of ``conf/`` nor the user names.

    trust: whether the user allows it all. asked: the composition of the command line.
    """
    check_places(config)
    for option, value in () if trust else foreign(config):
        if asked is None or OmegaConf.select(asked, option) != value:
            raise UserError(
                f"{option}={value}: this is in the run folder's config.yaml, and it can run code or write files; expected what "
                "a file of conf/ has; if you trust where the run comes from, add trust=true"
            )


def foreign(config: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield the options, with their values, that can run code or write files and are not as in a file of ``conf/``."""
    known = {group: values_of_files(group) for group in {*PLACES.values(), "env", "trainer", "logger"}}
    for keys, value in _entries(config):
        if not _is_known(keys, value, known):
            yield ".".join(keys), value


def _is_known(keys: Keys, value: Any, known: dict[str, dict[Keys, list[Any]]]) -> bool:
    """Return whether an option with this value cannot run code or write files, or a file of ``conf/`` has the value."""
    group, own = keys[0], keys[1:]
    if isinstance(value, dict | list):
        return True  # its entries are checked separately
    if keys[-1] == TARGET and keys[:-1] in PLACES:
        return value in known[PLACES[keys[:-1]]][(TARGET,)]
    if group == "logger":  # loggers write files
        return value in known[group].get(own, ())
    if group == "trainer":  # options of Lightning, in which strings can name classes
        return own in known[group] and (not isinstance(value, str) or value in known[group][own])
    if group == "env" and (own == ("id",) or ":" in str(value)):  # a gymnasium id, or an import path
        return value in known[group].get(own, ())
    return ".".join(keys) not in RUNS_CODE or not value


def values_of_files(group: str) -> dict[Keys, list[Any]]:
    """Return the values in the files of a folder of ``conf/``, by option."""
    found: dict[Keys, list[Any]] = {}
    for file in CONFIGS.glob(f"{group}/**/*.yaml"):
        content = yaml.safe_load(file.read_text())
        for keys, value in walk(content.get(group, content)):  # a file of the package _global_ has its options below the group
            found.setdefault(keys, []).append(value)
    return found


def _has_target(place: Keys) -> bool:
    return place in PLACES or (len(place) == 2 and place[0] == "logger")


def _entries(config: DictConfig) -> Iterator[tuple[Keys, Any]]:
    return walk(OmegaConf.to_container(config, resolve=False))
