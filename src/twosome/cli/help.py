"""The text of ``--help``: the command, its groups with their choices, and every option with its value and meaning."""

import re
import shutil
import textwrap
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from inspect import cleandoc
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from twosome.cli.meanings import Declared, declared
from twosome.config import CONFIGS

LAUNCHER = (
    "hydra/launcher",
    "where the runs of a sweep (-m) are computed: here, one after the other (basic) or all at once (submitit_local), or on a "
    "cluster (slurm, made of submitit_slurm)",
)
WIDEST = 100
REFERENCE = re.compile(r"\$\{(?:oc\.select:)?([a-z_]\w*(?:\.\w+)*)")
FOOTER = (
    "-m before options with several values, as in norm=word,token, runs all combinations. `--cfg job` prints the composition as "
    "YAML, `--hydra-help` lists Hydra's own flags and options. Not listed here are _target_ and _partial_, by which a choice "
    "names its code."
)

HelpRow = tuple[str, str]
"""The left column, and the meaning."""
_fill = partial(textwrap.fill, break_on_hyphens=False, break_long_words=False)  # names and values are not split


@dataclass(frozen=True)
class Composition:
    """The composition of a command line.

    primary: the declarations of the command's own file. files: of all composed files, as pairs of a package ("", "env", ...) and
    the declarations. choices: the declarations of each choice, by the names of the group and of the choice.
    """

    config: DictConfig
    primary: Declared
    files: list[tuple[str, Declared]]
    choices: dict[str, dict[str, Declared]]


def help_text(composition: Composition, description: str, width: int | None = None) -> str:
    """Return the help of a command.

    description: what the command does, and examples. width: in columns; None: the terminal's.
    """
    width = width or min(shutil.get_terminal_size().columns, WIDEST)
    does, _, examples = cleandoc(description).partition("\n\n")
    parts = [
        _fill(does.replace("\n", " "), width),
        examples,
        "Choices: <group>=<choice>",
        _table(group_rows(composition), width),
        _fill("Options: <option>=<value>, with the values of this command line", width),
        _table(option_rows(composition), width),
        _fill(FOOTER, width),
    ]
    return "\n\n".join(parts)


def compose(config_name: str, arguments: Namespace) -> Composition:
    """Compose as Hydra does for a run, or with -m for a sweep, without the options that have several values.

    config_name: the command's configuration in conf/. arguments: the result of Hydra's parser.
    """
    search_path = create_config_search_path(str(CONFIGS))
    if arguments.config_dir:
        folder = str(Path(arguments.config_dir).absolute())
        search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
    version.setbase("1.3")
    name, mode = arguments.config_name or config_name, RunMode.MULTIRUN if arguments.multirun else RunMode.RUN
    try:
        hydra = Hydra.create_main_hydra2(name, search_path)
        config = hydra.compose_config(name, arguments.overrides, mode)
        loader = hydra.config_loader
        loaded = loader.compute_defaults_list(name, arguments.overrides, mode).defaults
        folders = tuple(Path(source.path) for source in config.hydra.runtime.config_sources if source.schema == "file")
        files = [(each.package or "", _declared(each.config_path or "", folders)) for each in loaded]
        primary = _declared(name, folders)
        choices: dict[str, dict[str, Declared]] = {}
        waiting = [*primary.groups, LAUNCHER[0]]
        while waiting:  # a choice may add further groups
            group = waiting.pop(0)
            names = loader.get_group_options(group)
            choices[group] = {choice: _declared(f"{group}/{choice}", folders) for choice in names}
            waiting[:0] = [more for choice in choices[group].values() for more in choice.groups if more not in choices]
    finally:
        GlobalHydra.instance().clear()
    return Composition(config, primary, files, choices)


def group_rows(composition: Composition) -> list[HelpRow]:
    """Return a row for each group, with the current choice, and one for each of its choices."""
    meanings = dict([LAUNCHER])
    for declaration in (composition.primary, *(each for names in composition.choices.values() for each in names.values())):
        meanings = declaration.groups | meanings
    made = composition.config.hydra.runtime.choices
    rows: list[HelpRow] = []
    for group, names in composition.choices.items():
        rows.append((f"  {group}={_value(made[group])}" if group in made else f"  {group}", meanings[group]))
        rows += [(f"    {name}", declaration.summary) for name, declaration in names.items()]
        rows.append(("", ""))
    return rows[:-1]


def option_rows(composition: Composition) -> list[HelpRow]:
    """Return a row for each option, in the order of the composition, with a blank row between groups of options."""
    config, meanings = composition.config, meanings_of(composition)
    tree = OmegaConf.to_container(config, resolve=False)
    assert isinstance(tree, dict)
    rows: list[HelpRow] = []
    for key, value in sorted(tree.items(), key=lambda item: item[0] == "hydra"):  # Hydra's own options last
        found = [(f"  {name}", meaning) for name, meaning in _options(config, {key: value}, meanings, "")]
        if isinstance(value, dict) and rows and rows[-1][0]:
            rows.append(("", ""))
        rows += found
        if isinstance(value, dict) and found:
            rows.append(("", ""))
    return rows[:-1] if rows and not rows[-1][0] else rows


def meanings_of(composition: Composition) -> dict[str, str]:
    """Return the meaning of each option and mapping that has one, from the last file that declares one."""
    meanings: dict[str, str] = {}
    for package, declaration in composition.files:
        for name, meaning in declaration.options.items():
            if meaning:
                meanings[f"{package}.{name}" if package else name] = meaning
    return meanings


def _options(config: DictConfig, tree: dict[Any, Any], meanings: dict[str, str], prefix: str) -> Iterator[HelpRow]:
    """Yield rows for the options below a mapping. A mapping that has a meaning while its entries have none is one option.

    Of Hydra's own options only those that conf/ explains are listed.
    """
    for key, value in tree.items():
        name = f"{prefix}{key}"
        explained = any(known.startswith(f"{name}.") for known in meanings)
        if str(key).startswith("_") or (name.startswith("hydra") and not explained and name not in meanings):
            continue
        if isinstance(value, dict) and value and (explained or name not in meanings):
            if name in meanings:
                yield f"{name}.*", meanings[name]
            yield from _options(config, value, meanings, f"{name}.")
        else:
            yield _option(config, name, value, meanings.get(name, ""))


def _option(config: DictConfig, name: str, value: Any, meaning: str) -> HelpRow:
    """Return an option with its value and meaning; the options that the value refers to are appended to the meaning."""
    if not (isinstance(value, str) and "${" in value):
        return f"{name}={_value(value)}", meaning
    sources = [source for source in REFERENCE.findall(value) if _resolved(config, source) is not None]
    resolved = _resolved(config, name, value)
    shown = value if OmegaConf.is_config(resolved) else _value(resolved)
    return f"{name}={shown}", f"{meaning} [from {' and '.join(sources)}]".strip() if sources else meaning


def _resolved(config: DictConfig, name: str, default: Any = None) -> Any:
    """Return an option's resolved value; default if it has none yet, such as a job's number."""
    try:
        return OmegaConf.select(config, name, default=default)
    except OmegaConfBaseException:
        return default


def _value(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(inner)}" for key, inner in value.items()) + "}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) or "''"


def _table(rows: list[HelpRow], width: int) -> str:
    """Format two columns; if the left text is too long for its column, the meaning begins on the next line."""
    column = min(32, width * 2 // 5)
    lines = []
    for left, meaning in rows:
        below = _fill(meaning, width, initial_indent=" " * column, subsequent_indent=" " * column).splitlines()
        if below and len(left) < column - 1:
            lines.append(left + below.pop(0)[len(left) :])
        else:
            name = left.lstrip()
            lines.append(_fill(name, width, initial_indent=left.removesuffix(name), subsequent_indent=" " * 6))
        lines += below
    return "\n".join(lines)


@cache
def _declared(name: str, folders: tuple[Path, ...]) -> Declared:
    """Return the declarations of a configuration file; empty ones for files of Hydra or of a plugin."""
    for folder in folders:
        if (path := folder / f"{name}.yaml").is_file():
            return declared(path)
    return Declared("", {}, {})
