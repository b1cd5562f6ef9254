"""What a stranger's run folder may not do: its configuration names only code that the files of ``conf/`` name.

Everything else is refused before anything is imported or called, unless the user says ``trust=true``.
"""

from collections.abc import Iterator
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from twosome.config import CONFIGS
from twosome.errors import UserError

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
    files = [yaml.safe_load(file.read_text()) for file in CONFIGS.glob(f"{group}/**/*.yaml")]
    return [value for content in files for place, value in _entries(content) if place in (own, (group, *own))]


def _entries(tree: Any, path: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield the entries of nested maps and lists with their places."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*path, str(key)), value
        yield from _entries(value, (*path, str(key)))
