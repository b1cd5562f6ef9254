"""What a command line can set: each word is checked, before Hydra composes, against the options and choices that there are."""

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
"""Mappings that are handed on as they are: whoever gets them knows which options there are. Others: those with a _target_."""


class Checker:
    """The options of one command, for words in Hydra's grammar. Hydra has to be initialised, over conf/."""

    def __init__(self, config_name: str, folders: Iterable[str] = ()) -> None:
        """config_name: the command's file in conf/. folders: others with files as in conf/."""
        self.config_name = config_name
        self.folders: list[Path] = []
        self.add(folders)
        self.loader = GlobalHydra.instance().config_loader()
        self.groups: dict[str, list[str]] = {}
        self.known: dict[tuple[str, ...], Options] = {}

    def parsed(self, words: Sequence[str]) -> list[Override]:
        """The words, which Hydra can read, as Hydra reads them. A search path among them counts from now on."""
        overrides = OverridesParser.create(config_loader=self.loader).parse_overrides(list(words))
        for override in overrides:
            if override.key_or_group == "hydra.searchpath" and isinstance(folders := override.value(), list):
                self.add(map(str, folders))
        return overrides

    def add(self, folders: Iterable[str]) -> None:
        """Look for files in other folders as well; raises UserError for one that is not there."""
        for path in (Path(folder.removeprefix("file://")).absolute() for folder in folders if "pkg://" not in folder):
            if not path.is_dir():
                raise UserError(f"{path}: no such folder; expected one with files as in conf/")
            self.folders.append(path)

    def settled(self, words: Sequence[str]) -> list[str]:
        """A job's words as they are to be composed; see Options.settled. Raises UserError for the first that is wrong."""
        overrides = self.parsed(words)
        options = self.options(overrides)
        return [options.settled(override) for override in overrides]

    def options(self, overrides: Sequence[Override]) -> "Options":
        """What can be set beside these choices; of a sweep over choices, beside its first ones."""
        chosen = [override for override in overrides if self.is_choice(override)]
        for override in chosen:
            self._check_choice(override)
        words = tuple(f"{override.key_or_group}={values_of(override)[0]}" for override in chosen)
        if words not in self.known:
            self.known[words] = Options(self, self._composed(words))
        return self.known[words]

    def is_choice(self, override: Override) -> bool:
        """Whether a word chooses a file of a folder of conf/ (norm=word)."""
        plain = override.type == OverrideType.CHANGE and override.package is None and not isinstance(override.value(), dict)
        return plain and "." not in override.key_or_group and bool(self.choices(override.key_or_group))

    def choices(self, group: str) -> list[str]:
        """The names of a group's files."""
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
        """The configuration of these choices alone; raises UserError for one that this command does not have."""
        try:
            return self._compose(words)
        except HydraException:
            for word in words:  # the one without which there is nothing wrong
                with contextlib.suppress(HydraException):
                    raise self._out_of_place(word, self._compose([other for other in words if other != word])) from None
            raise

    def _compose(self, words: Sequence[str]) -> DictConfig:
        more = [f"hydra.searchpath=[{','.join(quoted(f'file://{folder}') for folder in self.folders)}]"] if self.folders else []
        return hydra.compose(self.config_name, [*words, *more], return_hydra_config=True)

    def _out_of_place(self, word: str, config: DictConfig) -> UserError:
        """The error for a choice that cannot be made, beside the choices that config is composed of."""
        group, options = word.partition("=")[0], Options(self, config)
        if group in config.hydra.runtime.choices:
            return UserError(f"{word}: expected another {group}; this command lacks what it builds on; leave the word out")
        return options.whole(group, word) if options.has(group) else options.unknown(group)


class Options:
    """The options of a composed configuration."""

    def __init__(self, checker: Checker, config: DictConfig) -> None:
        self.checker, self.config = checker, config
        self.tree: dict[str, Any] = OmegaConf.to_container(config, resolve=False)  # type: ignore[assignment]

    def settled(self, override: Override) -> str:
        """A word as it is to be composed: whole numbers as integers where the option is one (1e6), paths that exist as texts.

        Raises UserError where there is no such option, or it cannot be changed in this way.
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
        return self._as_meant(override)

    def _merged(self, key: str, override: Override) -> str:
        """A word that changes several options below one, {name: value}."""
        if isinstance(present := self.at(key), list):
            raise UserError(f"{override.input_line}: expected a list, as in [one,two]")
        if present is ... or isinstance(present, dict):
            for name, _ in leaves(override.value()):
                self._check_name(f"{key}.{name}", override)
        return str(override.input_line)

    def _check_removal(self, key: str, word: str) -> None:
        if not self.has(key):
            raise self.unknown(key)
        if not self.is_open(key) and not key.startswith("env."):  # an environment of one's own may have no task, for one
            raise UserError(f"{word}: expected {key}=<value>; this option cannot be taken away; leave the word out")

    def _check_name(self, key: str, override: Override) -> None:
        added = override.is_add() or override.is_force_add()
        if not self.has(key) and not (added and self.is_open(key)):
            raise self.unknown(key, None if added else override.input_line)

    def _as_meant(self, override: Override) -> str:
        """The word with its value as the option's present one suggests."""
        word, default = str(override.input_line), self.value(override.key_or_group)
        name, _, text = word.partition("=")
        values = values_of(override)
        if self.takes_text(override.key_or_group) and values != [text] and os.path.exists(text):
            return f"{name}={quoted(text)}"
        whole = [as_integer(value, default) for value in values]
        return word if str(whole) == str(values) else f"{name}={','.join(map(Transformer.str, whole))}"

    def at(self, key: str) -> Any:
        """What is at a dotted name, as it is written; Ellipsis where there is nothing."""
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
        """Whether there is such an option."""
        return self.at(key) is not ...

    def value(self, key: str) -> Any:
        """What an option is now, as far as that can be told."""
        if not isinstance(value := self.at(key), str):
            return value
        with contextlib.suppress(OmegaConfBaseException):  # it may refer to another option
            return OmegaConf.select(self.config, key)
        return value

    def takes_text(self, key: str) -> bool:
        """Whether an option can be a text, by its present value."""
        return isinstance(self.value(key), str | None)

    def is_open(self, key: str) -> bool:
        """Whether an option below one that is handed on to somebody who knows more of them: it can be added, or taken away."""
        parts = key.split(".")
        parents = [".".join(parts[:length]) for length in range(1, len(parts))]
        nodes = [self.at(parent) for parent in parents]
        return any(
            parent in OPEN or (isinstance(node, dict) and (not node or "_target_" in node))
            for parent, node in zip(parents, nodes, strict=True)
        )

    def whole(self, key: str, word: str) -> UserError:
        """The error for a value where there are options."""
        return UserError(f"{word}: expected options, as in {key}.<option>=...; there is no choice of a whole {key}")

    def unknown(self, key: str, word: str | None = None) -> UserError:
        """The error for an option that does not exist. word: given where it could be added, if it were to be handed on."""
        group = key.partition(".")[0]
        if group not in self.tree and (homes := _homes(group)):
            hint = f"it comes with {' or '.join(homes)}, and conf/{group} holds its choices and their options"
            return UserError(f"{key}: no such option here; {hint}")
        names = [name for name in self.names() if key.startswith("hydra") or not name.startswith("hydra.")]
        near = nearest(key, names)
        hint = f"; did you mean {near}?" if near else "; --help lists the options"
        if word is not None and self.is_open(key):
            hint += f". To hand it on: +{word}"
        return UserError(f"{key}: no such option{hint}")

    def names(self) -> list[str]:
        """All options, and what holds some."""
        paths = [name.split(".") for name, _ in leaves(self.tree)]
        return list(dict.fromkeys(".".join(path[:length]) for path in paths for length in range(1, len(path) + 1)))


def _homes(group: str) -> list[str]:
    """The choices, of other groups, that bring a group with them."""
    files = [path for path in sorted(CONFIGS.glob("*/*.yaml")) if f"/{group}@" in path.read_text()]
    return [f"{path.parent.name}={path.stem}" for path in files]
