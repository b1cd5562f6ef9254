"""Convert Hydra's composed configuration to checked, typed settings."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from twosome.errors import UserError, check_seed, folded

T = TypeVar("T")

CONFIGS = (Path(__file__).parent / "conf").resolve()
"""The folder of Hydra's groups. In a checkout it is a link to conf/, in an installed suite a folder of the package."""


@dataclass
class EvaluationConfig:
    """The options of the evaluation before and after training; see conf/config.yaml."""

    episodes: int
    seed: int
    gif: bool

    def __post_init__(self) -> None:
        if self.episodes < 0:
            raise UserError(f"evaluation.episodes={self.episodes}: expected 0 (no evaluation) or more")
        check_seed("evaluation.seed", self.seed)


@dataclass
class RetentionConfig:
    """The options of the drift probe; see conf/config.yaml."""

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
    """The options of a run itself; see conf/config.yaml."""

    seed: int
    total_steps: int
    checkpoint_every: int
    label: str | None
    init: str | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        if self.label is not None and not (self.label.strip() and self.label.isprintable() and len(self.label) <= 60):
            raise UserError(f"label={shown(self.label)}: expected a name of at most 60 characters for figures, or null")
        for name in ("total_steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: expected an integer above 0")


def typed(cls: type[T], node: DictConfig, option: str) -> T:
    """Convert node to the dataclass cls, and check the type of every field.

    option: the name of node in the configuration ("ppo"), for messages. Raises UserError, also for unknown and missing fields.
    """
    try:
        values = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    except OmegaConfBaseException as error:
        raise _unresolved(node, option, error) from None
    merged = _check_fields(cls, values, option)
    return OmegaConf.to_object(OmegaConf.merge(_schema(cls), values) if merged is None else merged)  # type: ignore[return-value, arg-type]


@cache
def _schema(cls: type) -> DictConfig:
    """Return a dataclass as a structured configuration, which is not to be changed."""
    return OmegaConf.structured(cls)


def own_settings(cls: type[T], config: DictConfig) -> T:
    """Convert the entries of config that are fields of the dataclass cls. Raises UserError."""
    return typed(cls, OmegaConf.masked_copy(config, [field.name for field in fields(cls)]), "")  # type: ignore[arg-type]


def resolve(config: DictConfig) -> None:
    """Replace interpolations, ${...}, by their values, in place. Raises UserError for one without a value."""
    try:
        OmegaConf.resolve(config)
    except OmegaConfBaseException as error:
        raise _unresolved(config, "", error) from None


def _unresolved(config: DictConfig, option: str, error: Exception) -> UserError:
    """Return the error for the first interpolation without a value. option: the name of config. error: omegaconf's."""
    for name, value in leaves(OmegaConf.to_container(config)):
        try:
            OmegaConf.select(config, name)
        except OmegaConfBaseException as found:
            whole = f"{option}.{name}" if option else name
            return UserError(f"{whole}={value}: expected the name of another option in ${{...}} ({str(found).splitlines()[0]})")
    return UserError(folded(error))


def _check_fields(cls: type, values: Any, option: str) -> DictConfig | None:
    """Raise UserError for the first value that is not of its field's type, and for unknown or missing fields.

    Returns the values in the dataclass' schema; None if they do not all fit it.
    """
    prefix, hints, schema = f"{option}." if option else "", get_type_hints(cls), _schema(cls)
    if not isinstance(values, dict):
        raise UserError(f"{option}={shown(values)}: expected options, as in {prefix}<option>=...; there is no choice of it")
    merged = _merged(schema, values)  # one by one only to find the first that does not fit
    for name, value in values.items():
        if name not in hints:
            near = get_close_matches(str(name), hints, n=1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else ""
            raise UserError(f"{prefix}{name}: no such option; expected one of {', '.join(hints)}{hint}")
        if is_dataclass(hints[name]):
            _check_fields(hints[name], value, f"{prefix}{name}")
            continue
        nested = isinstance(value, list) and any(isinstance(each, (list, dict)) for each in value)
        fits = not nested or Any in get_args(hints[name])  # the dataclass checks these itself
        fits = fits and (merged is not None or _merged(schema, {name: value}) is not None)
        if not fits or (hints[name] is bool and value not in (0, 1) and not isinstance(value, str)):  # to omegaconf, 3 is true
            raise UserError(f"{prefix}{name}={shown(value)}: expected {expected(hints[name])}")
    for name in hints:
        if name not in values and OmegaConf.is_missing(schema, name):
            raise UserError(f"{prefix}{name} is missing: expected {expected(hints[name])}; set {prefix}{name}=...")
    return merged


def _merged(schema: DictConfig, values: dict[str, Any]) -> DictConfig | None:
    """Return the values in a structured configuration; None if they are not its fields, of their types."""
    try:
        return OmegaConf.merge(schema, values)  # type: ignore[return-value]
    except OmegaConfBaseException:
        return None


EXPECTED = {bool: "true or false", int: "an integer", float: "a number", str: "one text", dict: "options, {name: value}"}


def expected(hint: Any) -> str:
    """Describe the expected type of a value in words."""
    arguments = [argument for argument in get_args(hint) if argument is not NoneType]
    if NoneType in get_args(hint):
        return f"{' or '.join(map(expected, arguments))}, or null"
    kind = get_origin(hint) or hint
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(each.name for each in kind)}"
    if kind is list:
        return "a list of integers, as in [1,2]" if arguments == [int] else "a list, as in [one,two]"
    return EXPECTED.get(kind, "another type")


def shown(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{shown(each)}' for key, each in value.items())}}}"
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def check_groups(config: DictConfig, names: Iterable[str]) -> None:
    """Raise UserError if the command line removed one of these configuration groups or replaced it by a value."""
    for name in names:
        if not OmegaConf.is_dict(OmegaConf.select(config, name)):
            value = f"={config[name]}" if name in config else " is missing"
            raise UserError(f"{name}{value}: expected options, as in {name}.<option>=...; leave the word out; --help lists them")


def leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return the values of nested dictionaries with their dotted names."""
    if not isinstance(tree, dict) or not tree:
        return [(prefix, tree)] if prefix else []
    return [leaf for key, value in tree.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else str(key))]
