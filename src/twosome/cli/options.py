"""Check each word of a command line against the existing options and choices, before Hydra composes them."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, Transformer
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from twosome.cli.grammar import as_integer, quoted, values_of
from twosome.config import CONFIGS, leaves
from twosome.errors import UserError, nearest, unknown_choice

OPEN = ("env.kwargs", "logger", "trainer")
"""Mappings to which options can be added, since they are passed on as they are. So can mappings with a _target_."""


class Checker:
    """A checker of one command's words, in Hydra's grammar. Hydra must be initialised with conf/."""

    def __init__(self, config_name: str, folders: Iterable[str] = ()) -> None:
        """config_name: the command's file in conf/. folders: further folders with files as in conf/."""
        self.config_name = config_name
        self.folders: list[Path] = []
        self.add(folders)
        self.loader = GlobalHydra.instance().config_loader()
        self.groups: dict[str, list[str]] = {}
        self.known: dict[tuple[str, ...], Options] = {}

    def parsed(self, words: Sequence[str]) -> list[Override]:
        """Parse words that Hydra can read. The folders of a hydra.searchpath among them are added."""
        overrides = OverridesParser.create(config_loader=self.loader).parse_overrides(list(words))
        for override in overrides:
            if override.key_or_group == "hydra.searchpath" and isinstance(folders := override.value(), list):
                self.add(map(str, folders))
        return overrides

    def add(self, folders: Iterable[str]) -> None:
        """Add folders in which files are searched; raise UserError for one that does not exist."""
        for path in (Path(folder.removeprefix("file://")).absolute() for folder in folders if "pkg://" not in folder):
            if not path.is_dir():
                raise UserError(f"{path}: no such folder; expected one with files as in conf/")
            self.folders.append(path)

    def normalized(self, words: Sequence[str]) -> list[str]:
        """Return a job's words in the form to be composed; see Options.normalized. Raises UserError for the first error."""
        overrides = self.parsed(words)
        options = self.options(overrides)
        return [options.normalized(override) for override in overrides]

    def options(self, overrides: Sequence[Override]) -> "Options":
        """Return the options that exist with these choices; for a sweep over choices, with the first ones."""
        chosen = [override for override in overrides if self.is_choice(override)]
        for override in chosen:
            self._check_choice(override)
        words = tuple(f"{override.key_or_group}={values_of(override)[0]}" for override in chosen)
        if words not in self.known:
            self.known[words] = Options(self, self._composed(words))
        return self.known[words]

    def is_choice(self, override: Override) -> bool:
        """Return whether a word chooses a file of a group of conf/ (norm=word)."""
        plain = override.type == OverrideType.CHANGE and override.package is None and not isinstance(override.value(), dict)
        return plain and "." not in override.key_or_group and bool(self.choices(override.key_or_group))

    def choices(self, group: str) -> list[str]:
        """Return the names of a group's choices."""
        if group and group not in self.groups:
            others = {file.stem for folder in self.folders for file in folder.glob(f"{group}/*.yaml")}
            self.groups[group] = sorted({*self.loader.get_group_options(group, ObjectType.CONFIG), *others})
        return self.groups.get(group, [])

    def _check_choice(self, override: Override) -> None:
        choices = self.choices(override.key_or_group)
        for value in values_of(override):
            if not isinstance(value, str) or not value:
                raise UserError(f"{override.input_line}: expected the name of a choice, one of {', '.join(choices)}")
            if value not in choices:
                raise unknown_choice(override.key_or_group, value, choices)

    def _composed(self, words: tuple[str, ...]) -> DictConfig:
        """Compose these choices only; raise UserError for one that this command does not have."""
        try:
            return self._compose(words)
        except HydraException:
            rest: dict[str, DictConfig] = {}  # by the word without which the others can be composed
            for word in words:
                with contextlib.suppress(HydraException):
                    rest[word] = self._compose([other for other in words if other != word])
            if not rest:
                raise
            # Of baseline=ppo and policy_head=actions, each without the other is good. The second lacks its group.
            homeless = [word for word, others in rest.items() if word.partition("=")[0] not in others.hydra.runtime.choices]
            word = [*homeless, *rest][0]
            raise self._out_of_place(word, rest[word]) from None

    def _compose(self, words: Sequence[str]) -> DictConfig:
        more = [f"hydra.searchpath=[{','.join(quoted(f'file://{folder}') for folder in self.folders)}]"] if self.folders else []
        return hydra.compose(self.config_name, [*words, *more], return_hydra_config=True)

    def _out_of_place(self, word: str, config: DictConfig) -> UserError:
        """Return the error for a choice that cannot be combined with the choices of config."""
        group, options = word.partition("=")[0], Options(self, config)
        if group in config.hydra.runtime.choices:
            return UserError(f"{word}: expected another {group}; this command lacks what it builds on; leave the word out")
        return options.whole(group, word) if options.has(group) else options.unknown(group)


class Options:
    """The options of a composed configuration."""

    def __init__(self, checker: Checker, config: DictConfig) -> None:
        self.checker, self.config = checker, config
        self.tree: dict[str, Any] = OmegaConf.to_container(config, resolve=False)  # type: ignore[assignment]

    def normalized(self, override: Override) -> str:
        """Return a word in the form to be composed: 1e6 becomes an integer for integer options, existing paths become texts.

        Raises UserError if there is no such option, or it cannot be changed in this way.
        """
        key, word = override.key_or_group, str(override.input_line)
        if self.checker.is_choice(override):
            return word
        if override.package is not None or (key in self.config.hydra.runtime.choices and not isinstance(override.value(), dict)):
            raise UserError(f"{word}: expected {key}=<choice>, with no + or ~ before it and no @; --help lists the choices")
        if override.is_delete():
            self._check_removal(key, word)
            return word
        if isinstance(value := override.value(), dict):
            return self._merged(key, override)
        self._check_name(key, override)
        if isinstance(self.at(key), dict):
            raise self.whole(key, word.lstrip("+"))
        if override.is_add() and self.has(key) and not isinstance(value, list):
            raise UserError(f"{word}: {key} is an option already; leave the + out: {word[1:]}")
        return self._converted(override)

    def _merged(self, key: str, override: Override) -> str:
        """Check a word that changes several options below one, {name: value}."""
        if isinstance(present := self.at(key), list):
            raise UserError(f"{override.input_line}: expected a list, as in [one,two]")
        if present is ... or isinstance(present, dict):
            for name, _ in leaves(override.value()):
                self._check_name(f"{key}.{name}", override)
        return str(override.input_line)

    def _check_removal(self, key: str, word: str) -> None:
        if not self.has(key):
            raise self.unknown(key)
        if not self.is_open(key) and not key.startswith("env."):  # a user's environment may lack options such as task
            raise UserError(f"{word}: expected {key}=<value>; this option cannot be removed; leave the word out")

    def _check_name(self, key: str, override: Override) -> None:
        added = override.is_add() or override.is_force_add()
        if not self.has(key) and not (added and self.is_open(key)):
            raise self.unknown(key, None if added else override.input_line)

    def _converted(self, override: Override) -> str:
        """Convert the word's value to the type of the option's current value."""
        word, default = str(override.input_line), self.value(override.key_or_group)
        name, _, text = word.partition("=")
        if override.is_interval_sweep():
            return self._interval(word)
        values = values_of(override)
        if self.takes_text(override.key_or_group) and values != [text] and os.path.exists(text):
            return f"{name}={quoted(text)}"
        whole = [as_integer(value, default) for value in values]
        return word if str(whole) == str(values) else f"{name}={','.join(map(Transformer.str, whole))}"

    def _interval(self, word: str) -> str:
        """Return a word whose values are an interval, as it is. Raises UserError if nothing searches intervals."""
        if "n_trials" in self.config.hydra.sweeper:
            return word
        raise UserError(
            f"{word}: expected values to go through, as in 0,1,2 or range(3); an interval can be searched: hydra/sweeper=optuna"
        )

    def at(self, key: str) -> Any:
        """Return the unresolved value of a dotted name; Ellipsis if there is none."""
        node: Any = self.tree
        for part in key.split("."):
            if isinstance(node, list) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            elif isinstance(node, dict) and part in node:
                node = node[part]
            else:
                return ...
        return node

    def has(self, key: str) -> bool:
        """Return whether there is such an option."""
        return self.at(key) is not ...

    def value(self, key: str) -> Any:
        """Return an option's current value, resolved if possible."""
        if not isinstance(value := self.at(key), str):
            return value
        with contextlib.suppress(OmegaConfBaseException):  # an interpolation
            return OmegaConf.select(self.config, key)
        return value

    def takes_text(self, key: str) -> bool:
        """Return whether an option can be a text, judged by its current value."""
        return isinstance(self.value(key), str | None)

    def is_open(self, key: str) -> bool:
        """Return whether an option can be added or removed, because it is below one of OPEN or a mapping with a _target_."""
        parts = key.split(".")
        parents = [".".join(parts[:length]) for length in range(1, len(parts))]
        nodes = [self.at(parent) for parent in parents]
        return any(
            parent in OPEN or (isinstance(node, dict) and (not node or "_target_" in node))
            for parent, node in zip(parents, nodes, strict=True)
        )

    def whole(self, key: str, word: str) -> UserError:
        """Return the error for a value in place of a mapping of options."""
        return UserError(f"{word}: expected options, as in {key}.<option>=...; there is no choice of a whole {key}")

    def unknown(self, key: str, word: str | None = None) -> UserError:
        """Return the error for an option that does not exist. word: the user's word; None if it already adds the option by +."""
        group = key.partition(".")[0]
        if group not in self.tree and (homes := _providers(group)):
            hint = f"it comes with {' or '.join(homes)}, and conf/{group} holds its choices and their options"
            return UserError(f"{key}: no such option here; {hint}")
        names = [name for name in self.names() if key.startswith("hydra") or not name.startswith("hydra.")]
        near = nearest(key, names)
        hint = f"; did you mean {near}?" if near else "; --help lists the options"
        if word is not None and self.is_open(key):
            hint += f"{' T' if near else '; t'}ype +{word} to pass it on unchecked"
        return UserError(f"{key}: no such option{hint}")

    def names(self) -> list[str]:
        """Return the names of all options and of the mappings that hold them."""
        paths = [name.split(".") for name, _ in leaves(self.tree)]
        return list(dict.fromkeys(".".join(path[:length]) for path in paths for length in range(1, len(path) + 1)))


def _providers(group: str) -> list[str]:
    """Return the choices of other groups that include a group in their defaults."""
    included = f"- /{group}:"
    bases = [f"bases/{path.stem}" for path in CONFIGS.glob("baseline/bases/*.yaml") if included in path.read_text()]
    files = [path for path in sorted(CONFIGS.glob("*/*.yaml")) if any(name in path.read_text() for name in (included, *bases))]
    return [f"{path.parent.name}={path.stem}" for path in files]
