"""From Hydra's composed configuration to checked, typed settings, before anything is computed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from twosome.errors import UserError, check_seed

T = TypeVar("T")

CONFIGS = Path(__file__).resolve().parents[2] / "conf"
"""Hydra's groups."""

TRUSTED_TARGETS = ("twosome.", "pytorch_lightning.loggers.")
"""Where a configuration's ``_target_`` may point: a config can come with a run folder from anywhere."""


def largest_divisor(most: int, number: int) -> int:
    """The largest divisor of number that is at most most; at least 1."""
    return next(part for part in range(max(most, 1), 0, -1) if number % part == 0)


def default_minibatches(most: int, num_envs: int, num_steps: int) -> int:
    """The most minibatches, up to most, into which a rollout can be cut evenly with two samples in each."""
    return largest_divisor(min(most, num_envs * num_steps // 2), num_envs * num_steps)


def _for_presets(rule: Callable[..., int]) -> Callable[..., int]:
    """rule as a resolver in conf/preset: its first number is the preset's own, which stays where the others are no integers, as
    `typed` will tell."""
    return lambda most, *others: rule(most, *others) if all(isinstance(other, int) for other in others) else most


OmegaConf.register_new_resolver("minibatches", _for_presets(default_minibatches))
OmegaConf.register_new_resolver("divisor", _for_presets(largest_divisor))


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
