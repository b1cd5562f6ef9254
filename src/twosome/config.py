"""From Hydra's composed configuration to checked, typed settings, before anything is computed."""

from collections.abc import Iterable
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from twosome.errors import UserError, check_seed, folded

T = TypeVar("T")

CONFIGS = Path(__file__).resolve().parents[2] / "conf"
"""Hydra's groups."""

TRUSTED_TARGETS = ("twosome.", "pytorch_lightning.loggers.")
"""Where a configuration's ``_target_`` may point: a config can come with a run folder from anywhere."""


@dataclass
class EvaluationConfig:
    """Evaluation before and after training; see conf/config.yaml."""

    episodes: int
    seed: int
    gif: bool

    def __post_init__(self) -> None:
        if self.episodes < 0:
            raise UserError(f"evaluation.episodes={self.episodes}: expected 0 (no evaluation) or more")
        check_seed("evaluation.seed", self.seed)


@dataclass
class RetentionConfig:
    """The drift probe: what training does to the language model's English; see conf/config.yaml."""

    drift: bool
    every: int
    limit: int | None

    def __post_init__(self) -> None:
        if self.every < 0:
            raise UserError(f"retention.every={self.every}: expected 0 (no probe during training) or a number of updates")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"retention.limit={self.limit}: expected an integer above 0, or null for all texts")


@dataclass
class RunConfig:
    """The run's own settings; see conf/config.yaml."""

    seed: int
    total_steps: int
    checkpoint_every: int

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        for name in ("total_steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: expected an integer above 0")


def typed(cls: type[T], node: DictConfig, option: str) -> T:
    """node as the dataclass cls, every field of the declared type.

    option: where node stands in the configuration ("ppo"), for messages. Raises UserError, also for unknown and missing fields.
    """
    try:
        values = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    except OmegaConfBaseException as error:
        raise _unresolved(node, option, error) from None
    _check_fields(cls, values, option)
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), values))  # type: ignore[return-value]


def resolve(config: DictConfig) -> None:
    """Put values in the place of interpolations, ${...}. Raises UserError for one that has none."""
    try:
        OmegaConf.resolve(config)
    except OmegaConfBaseException as error:
        raise _unresolved(config, "", error) from None


def _unresolved(config: DictConfig, option: str, error: Exception) -> UserError:
    """The error for the first option whose interpolation has no value. option: where config stands. error: omegaconf's."""
    for name, value in leaves(OmegaConf.to_container(config)):
        try:
            OmegaConf.select(config, name)
        except OmegaConfBaseException as found:
            whole = f"{option}.{name}" if option else name
            return UserError(f"{whole}={value}: expected the name of another option in ${{...}} ({str(found).splitlines()[0]})")
    return UserError(folded(error))


def _check_fields(cls: type, values: Any, option: str) -> None:
    """Raise UserError for the first value that is not of its field's type, and for fields that are unknown or missing."""
    prefix, hints, schema = f"{option}." if option else "", get_type_hints(cls), OmegaConf.structured(cls)
    if not isinstance(values, dict):
        raise UserError(f"{option}={shown(values)}: expected options, as in {prefix}<option>=...; there is no choice of it")
    for name, value in values.items():
        if name not in hints:
            near = get_close_matches(str(name), hints, n=1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else ""
            raise UserError(f"{prefix}{name}: no such option; expected one of {', '.join(hints)}{hint}")
        if is_dataclass(hints[name]):
            _check_fields(hints[name], value, f"{prefix}{name}")
            continue
        try:
            OmegaConf.merge(schema, {name: value})
            fits = not isinstance(value, list) or not any(isinstance(each, (list, dict)) for each in value)
        except OmegaConfBaseException:
            fits = False
        if not fits or (hints[name] is bool and value not in (0, 1) and not isinstance(value, str)):  # to omegaconf, 3 is true
            raise UserError(f"{prefix}{name}={shown(value)}: expected {expected(hints[name])}")
    for name in hints:
        if name not in values and OmegaConf.is_missing(schema, name):
            raise UserError(f"{prefix}{name} is missing: expected {expected(hints[name])}; set {prefix}{name}=...")


EXPECTED = {bool: "true or false", int: "an integer", float: "a number", str: "one text", dict: "options, {name: value}"}


def expected(hint: Any) -> str:
    """The type that a value should have had, in words."""
    arguments = [argument for argument in get_args(hint) if argument is not NoneType]
    if NoneType in get_args(hint):
        return f"{expected(arguments[0])}, or null"
    kind = get_origin(hint) or hint
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(each.name for each in kind)}"
    if kind is list:
        return "a list of integers, as in [1,2]" if arguments == [int] else "a list, as in [one,two]"
    return EXPECTED.get(kind, "another type")


def shown(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{shown(each)}' for key, each in value.items())}}}"
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def check_groups(config: DictConfig, names: Iterable[str]) -> None:
    """Raises UserError where the command line took one of the configuration's groups away, or put a value in its place."""
    for name in names:
        if not OmegaConf.is_dict(OmegaConf.select(config, name)):
            value = f"={config[name]}" if name in config else " is missing"
            raise UserError(f"{name}{value}: expected options, as in {name}.<option>=...; leave the word out; --help lists them")


def _trusted(target: str) -> bool:
    """Whether target is defined, not just reachable, where we trust: twosome.cli.os.system is not ours.

    What cannot be found is left to whoever instantiates it, who says so.
    """
    if not target.startswith(TRUSTED_TARGETS):
        return False
    try:
        found = get_object(target)
    except Exception:  # Hydra raises many kinds
        return True
    return f"{getattr(found, '__module__', '')}.".startswith(TRUSTED_TARGETS)


def check_targets(config: Any, option: str = "") -> None:
    """Refuse a configuration that would call anything but the suite's own code and Lightning's loggers."""
    if isinstance(config, DictConfig):
        config = OmegaConf.to_container(config, resolve=False)
    if isinstance(config, dict):
        target = config.get("_target_")
        if target is not None and not _trusted(str(target)):
            raise UserError(
                f"{option}._target_={target}: expected a name that starts with one of {', '.join(TRUSTED_TARGETS)}; "
                "put your own class or function into a module under src/twosome"
            )
        for key, value in config.items():
            check_targets(value, f"{option}.{key}" if option else str(key))
    elif isinstance(config, list):
        for value in config:
            check_targets(value, option)


def check_trust(config: DictConfig, asked: DictConfig | None, remedy: str) -> None:
    """Refuse a run folder's configuration where using it could run code that neither is the suite's nor was named by the user.

    Such names are import paths in the environment's options, and the options of the model that let it run code. The user
    named what a file in conf/env has, and what asked has: the configuration that the command line composed, if it composed a
    run's. Targets of instantiation must be trusted ones in any case. remedy: what to add to the command to allow it. Raises
    UserError.
    """
    for group in ("baseline", "norm", "logger"):
        check_targets(config.get(group), group)
    own = {value for file in CONFIGS.glob("env/*.yaml") for _, value in leaves(yaml.safe_load(file.read_text()))}
    paths = [(f"env.{name}", value) for name, value in leaves(OmegaConf.to_container(config.env)) if ":" in str(value)]
    suspects = [(name, value) for name, value in paths if value not in own and not _ours(str(value))]
    suspects += [(f"model.{name}", True) for name in ("trust_remote_code", "allow_pickle") if config.model.get(name)]
    for name, value in suspects:
        if asked is None or OmegaConf.select(asked, name) != value:
            raise UserError(
                f"{name}={value}: this is what the run folder's config.yaml says, and it runs code from outside the suite; "
                f"expected the suite's own; if you trust where the run comes from, add {remedy.format(f'{name}={value}')}"
            )


def _ours(path: str) -> bool:
    """Whether an import path, module:name, leads to the suite's own code."""
    module, _, name = path.partition(":")
    return _trusted(f"{module}.") and (_trusted(f"{module}.{name}") or "/" in name)


def leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """The values of nested dictionaries, named by dotted paths."""
    if not isinstance(tree, dict) or not tree:
        return [(prefix, tree)] if prefix else []
    return [leaf for key, value in tree.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else str(key))]
