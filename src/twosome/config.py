"""Convert Hydra's composed configuration to typed settings."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from twosome.errors import UserError, check, check_seed

T = TypeVar("T")

CONFIGS = (Path(__file__).parent / "conf").resolve()
"""The folder of Hydra's groups. In a checkout it is a link to conf/, in an installed suite a folder of the package."""


OmegaConf.register_new_resolver(
    "run_dir", lambda resume, default: resume if resume and Path(resume).is_dir() else default, replace=True
)


@dataclass
class EvaluationConfig:
    """The options of the evaluation before and after training; see conf/config.yaml."""

    episodes: int
    seed: int
    gif: bool

    def __post_init__(self) -> None:
        check(self.episodes >= 0, "evaluation.episodes", self.episodes, "0 (no evaluation) or more")
        check_seed("evaluation.seed", self.seed)


@dataclass
class RetentionConfig:
    """The options of the drift probe; see conf/config.yaml."""

    drift: bool
    every: int
    limit: int | None

    def __post_init__(self) -> None:
        check(self.every >= 0, "retention.every", self.every, "0 (no probe during training) or a number of updates")
        check(self.limit is None or self.limit > 0, "retention.limit", self.limit, "an integer above 0, or null for all texts")


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
        named = self.label is None or (self.label.strip() and self.label.isprintable() and len(self.label) <= 60)
        check(named, "label", self.label, "a name of at most 60 characters for figures, or null")
        for name in ("total_steps", "checkpoint_every"):
            check(getattr(self, name) > 0, name, getattr(self, name), "an integer above 0")


def typed(cls: type[T], node: Any, option: str) -> T:
    """Convert node to the dataclass cls. option: the name of node in the configuration, for messages, or "".

    Raises UserError for a value that is not of its field's type, and for unknown and missing fields.
    """
    try:
        values = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), values))  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        name = ".".join(filter(None, [option, error.full_key]))
        raise UserError(f"{name}: {str(error).splitlines()[0]}") from error


def own_settings(cls: type[T], config: DictConfig) -> T:
    """Convert the entries of config that are fields of the dataclass cls. Raises UserError."""
    return typed(cls, OmegaConf.masked_copy(config, [field.name for field in fields(cls)]), "")  # type: ignore[arg-type]


def leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return the values of nested dictionaries with their dotted names."""
    if not isinstance(tree, dict) or not tree:
        return [(prefix, tree)] if prefix else []
    return [leaf for key, value in tree.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else str(key))]
