"""The meanings of a configuration's options, read from the comments of conf/*.yaml.

An option's meaning is the comment after it on its line or, if there is none, the comment lines above it. If a file's first
comment has ``Fields: <import path of a dataclass>``, options without a comment get the docstrings of the dataclass' fields.
"""

import ast
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml

from twosome.errors import UserError, folded

SOURCES = Path(__file__).resolve().parents[2]
"""The folder in which import paths begin."""
COMMAND = re.compile(r"^(@package |python )")
SENTENCE_END = re.compile(r"(?<=[.])\s+(?=[A-Z`])")
FIELDS = re.compile(r"\bFields: ([\w.]+)\.(\w+)\.")


@dataclass(frozen=True)
class Declared:
    """The comments of a YAML file.

    header: the comment at the beginning of the file. options: the comment of each option and mapping by its dotted path, empty if
    there is none. groups: the comment of each group in the defaults list.
    """

    header: str
    options: dict[str, str]
    groups: dict[str, str]

    @property
    def summary(self) -> str:
        """The header's first sentence."""
        return SENTENCE_END.split(self.header)[0]


def declared(path: Path) -> Declared:
    """Read a YAML file's comments. Raises UserError if the file is not valid YAML."""
    text = path.read_text()
    lines = text.splitlines()
    try:
        root = yaml.compose(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: expected YAML ({folded(error)}); correct the file, or remove it") from None
    header = _header(lines)
    if not isinstance(root, yaml.MappingNode):
        return Declared(header, {}, {})
    options: dict[str, str] = {}
    groups: dict[str, str] = {}
    for key, value in root.value:
        if key.value == "defaults":
            groups = _groups(lines, value)
        else:
            options |= _options(lines, key, value, "")
    if match := FIELDS.search(header):
        docstrings = field_docstrings(match[1], match[2])
        whole = "# @package _global_" in lines  # then the dataclass describes the entries below the file's only key
        options = {name: text or docstrings.get(name.partition(".")[2] if whole else name, "") for name, text in options.items()}
    return Declared(header, options, groups)


def field_docstrings(module: str, name: str) -> dict[str, str]:
    """Return the docstrings of a dataclass' fields, read from its source, since importing it may take seconds."""
    path = SOURCES / f"{module.replace('.', '/')}.py"
    if not path.exists():
        return {}
    bodies = [node.body for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef) and node.name == name]
    return {
        field.target.id: " ".join(below.value.value.split())
        for body in bodies
        for field, below in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


def _header(lines: list[str]) -> str:
    """Return the comment at the beginning of a file, without its example command and Hydra's directive."""
    words = []
    for line in lines:
        if not line.startswith("#"):
            break
        words.append(line.removeprefix("#").strip())
    return " ".join(line for line in words if not COMMAND.match(line))


def _groups(lines: list[str], defaults: yaml.Node) -> dict[str, str]:
    """Return the comments of the groups in a defaults list, without overrides."""
    groups = {}
    for item in defaults.value:
        for key, value in item.value if isinstance(item, yaml.MappingNode) else ():
            if not key.value.startswith("override "):
                groups[key.value.lstrip("/").partition("@")[0]] = _comment_after(lines, value.end_mark)
    return groups


def _options(lines: list[str], key: yaml.Node, value: yaml.Node, prefix: str) -> dict[str, str]:
    """Return the comments of an option or a mapping, and of its entries."""
    name = f"{prefix}{key.value}"
    inline = value.start_mark.line == key.start_mark.line
    found = {name: _comment_after(lines, value.end_mark if inline else key.end_mark) or _comment_above(lines, key.start_mark)}
    for inner_key, inner in value.value if isinstance(value, yaml.MappingNode) else ():
        found |= _options(lines, inner_key, inner, f"{name}.")
    return found


def _comment_after(lines: list[str], end: yaml.Mark) -> str:
    """Return the comment after a value, or after a key and its colon, on the same line."""
    match = re.match(r":?\s+#(.*)", lines[end.line][end.column :]) if end.line < len(lines) else None
    return match[1].strip() if match else ""


def _comment_above(lines: list[str], start: yaml.Mark) -> str:
    """Return the comment lines above a key, with the same indentation. A file's first comment does not belong to a key."""
    first = start.line
    while first and re.match(rf" {{{start.column}}}#", lines[first - 1]):
        first -= 1
    return " ".join(line.strip().removeprefix("#").strip() for line in lines[first : start.line]) if first else ""
