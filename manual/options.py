"""The reference of options: every file of conf/, with each option's default and meaning.

The source is the same as that of --help: the YAML files, their comments, and the docstrings of the dataclasses that they name
(`twosome.cli.meanings`).
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from twosome.cli.help import LAUNCHER
from twosome.cli.meanings import Declared, declared
from twosome.config import CONFIGS, shown

COMMANDS = {
    "config": "python src/run.py",
    "evaluate": "python src/evaluate.py",
    "probe": "python src/probe.py",
}
"""The file of conf/ that a command composes, and the command. Files of other commands are called by their names."""
INTRODUCTION = """\
# Options

Options are given as `<option>=<value>`, choices as `<group>=<choice>`. `--help` prints the same texts for one command line,
with the values that it gives. A value in `${...}` is taken from another option. `null` means none. This page is generated
from the files of `conf/`, their comments and the dataclasses that they name.
"""
Row = tuple[str, str, str]
"""An option's name, default and meaning."""


def page() -> str:
    """Return the reference as Markdown."""
    parts = [INTRODUCTION]
    for path in sorted(CONFIGS.glob("*.yaml"), key=lambda path: [*COMMANDS, path.stem].index(path.stem)):
        command = COMMANDS.get(path.stem, f"python src/{path.stem}.py")
        parts.append(f"## `{command}`\n\n{cell(declared(path).header)}\n\n{_groups(declared(path))}{_table(rows(path))}")
    for group in groups():
        parts.append(f"## `{group}`\n\n{cell(meaning_of(group))}\n")
        parts += [_choice(group, path) for path in sorted((CONFIGS / group).glob("*.yaml"))]
    return "\n".join(parts)


def groups() -> list[str]:
    """Return the names of the groups, of which a choice can be made; experiments are options for others, not options."""
    folders = {str(path.parent.relative_to(CONFIGS)) for path in CONFIGS.glob("**/*.yaml")}
    return sorted(folder for folder in folders if folder != "." and not folder.startswith(("experiment", "baseline/")))


def meaning_of(group: str) -> str:
    """Return what a choice of the group decides, from the first file whose defaults list has the group."""
    told = dict([LAUNCHER, ("hydra/sweeper", "how the jobs of a sweep (-m) are found")])
    for path in [CONFIGS / "config.yaml", *sorted(CONFIGS.glob("*/*.yaml")), *sorted(CONFIGS.glob("*/bases/*.yaml"))]:
        told = declared(path).groups | told
    text = told[group]
    return text[:1].upper() + text[1:] + "."


def rows(path: Path) -> list[Row]:
    """Return the options that a file declares itself. A mapping with a meaning, and without any in it, is one option."""
    declaration, prefix = declared(path), _package(path)
    known = _meanings(path.parent) | {name: meaning for name, meaning in declaration.options.items() if meaning}
    tree = yaml.safe_load(path.read_text()) or {}
    tree.pop("defaults", None)
    found: list[Row] = []
    for name, value, meaning in _options(tree, known, ""):
        found.append((f"{prefix}{name}", value, meaning))
    return found


@cache
def _meanings(folder: Path) -> dict[str, str]:
    """Return what the files of a group say of their options, for files that build on others and only change values."""
    told: dict[str, str] = {}
    if folder != CONFIGS:
        for path in sorted(folder.glob("*.yaml")):
            told |= {name: meaning for name, meaning in declared(path).options.items() if meaning}
    return told


def _options(tree: dict[str, Any], known: dict[str, str], prefix: str) -> Iterator[Row]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        inner = any(other.startswith(f"{name}.") for other in known)
        if key.startswith("_"):
            continue
        if isinstance(value, dict) and value and (inner or name not in known):
            if name in known:
                yield name, "", known[name]
            yield from _options(value, known, f"{name}.")
        else:
            yield name, shown(value), known.get(name, "")


def _package(path: Path) -> str:
    """Return the beginning of the names of a file's options."""
    lines = path.read_text().splitlines()
    packages = [line.removeprefix("# @package ") for line in lines if line.startswith("# @package ")]
    own = packages[0] if packages else ".".join(path.relative_to(CONFIGS).parts[:-1])
    return "" if own in ("_global_", "") else f"{own}."


def _choice(group: str, path: Path) -> str:
    table = _table(rows(path))
    return f"### `{group}={path.stem}`\n\n{cell(declared(path).header)}\n\n{table}"


def _groups(declaration: Declared) -> str:
    """Return a table of the groups of a command, with their choices."""
    if not declaration.groups:
        return ""
    lines = ["| group | decides | choices |", "|---|---|---|"]
    for group, meaning in declaration.groups.items():
        choices = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
        lines.append(f"| `{group}` | {cell(meaning)} | {', '.join(f'`{choice}`' for choice in choices)} |")
    return "\n".join(lines) + "\n\n"


def _table(found: list[Row]) -> str:
    """Return a Markdown table of options; nothing for none."""
    if not found:
        return ""
    lines = ["| option | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {f'`{code(value)}`' if value else ''} | {cell(meaning)} |" for name, value, meaning in found]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Return plain text for a Markdown table: what could be read as markup, a column or a tag is escaped."""
    pieces = text.split("`")  # every second one is code
    for place in range(0, len(pieces), 2):
        for mark in "\\*_[]<>":
            pieces[place] = pieces[place].replace(mark, {"<": "&lt;", ">": "&gt;"}.get(mark, f"\\{mark}"))
    return "`".join(pieces).replace("|", "\\|")


def code(text: str) -> str:
    """Return a value for code in a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
