"""From Hydra's composed configuration to checked, typed settings, before anything is computed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from twosome.errors import UserError, check_seed

T = TypeVar("T")

CONFIGS = Path(__file__).resolve().parents[2] / "conf"
"""Hydra's groups."""


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

    option: where node stands in the configuration ("ppo"), for messages. Raises UserError, also for unknown fields.
    """
    prefix = f"{option}." if option else ""
    if not OmegaConf.is_dict(node):
        raise UserError(f"{option}={node}: expected its options one by one, as in {prefix}<option>=...; there is no choice of it")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(cls), OmegaConf.to_container(node, resolve=True))
        return OmegaConf.to_object(merged)  # type: ignore[return-value]
    except ValidationError as error:
        raise UserError(f"{prefix}{error.full_key or error.key}={_value(node, error)}: expected {expected(error)}") from None
    except (ConfigKeyError, ConfigAttributeError) as error:
        fields = ", ".join(OmegaConf.structured(cls))
        raise UserError(f"{prefix}{error.key}: no such option; expected one of {fields}") from None
    except OmegaConfBaseException as error:
        raise UserError(f"{prefix}{error.full_key}: {str(error).splitlines()[0]}") from None


def expected(error: ValidationError) -> str:
    """The type that a value did not have."""
    line = str(error).splitlines()[0]
    if "bool" in line.lower():
        return "true or false"
    return "a list, as in [one,two]" if "list" in line.lower() else line.rpartition(" to ")[2].lower() or "another type"


def check_groups(config: DictConfig, names: Iterable[str]) -> None:
    """Raises UserError where the command line took one of the configuration's groups away, or put a value in its place."""
    for name in names:
        if not OmegaConf.is_dict(OmegaConf.select(config, name)):
            value = f"={config[name]}" if name in config else " is missing"
            raise UserError(f"{name}{value}: expected options, as in {name}.<option>=...; leave the word out; --help lists them")


def _value(node: DictConfig, error: OmegaConfBaseException) -> Any:
    return OmegaConf.select(node, str(error.full_key or error.key), default="?")


def leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """The values of nested dictionaries, named by dotted paths."""
    if not isinstance(tree, dict) or not tree:
        return [(prefix, tree)] if prefix else []
    return [leaf for key, value in tree.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else str(key))]
