"""What the options of a configuration mean, read where they are declared: in the comments of conf/*.yaml.

An option's meaning is the comment behind it or, where there is none, the comment lines above it. A file whose first comment says
``Fields: <import path of a dataclass>`` may leave options without one: their meanings are the docstrings of its fields.
"""

import ast
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml

from twosome.errors import UserError, folded

SOURCES = Path(__file__).resolve().parents[2]
"""Where import paths begin."""
COMMAND = re.compile(r"^(@package |python )")
SENTENCE_END = re.compile(r"(?<=[.])\s+(?=[A-Z`])")
FIELDS = re.compile(r"\bFields: ([\w.]+)\.(\w+)\.")


@dataclass(frozen=True)
class Declared:
    """What a YAML file says of itself and of what is in it.

    header: the comment that the file begins with. options: a comment, or an empty text, for each dotted path in the file, be it
    an option or a mapping of options. groups: the same for each group that the defaults list chooses from.
    """

    header: str
    options: dict[str, str]
    groups: dict[str, str]

    @property
    def summary(self) -> str:
        """The header's first sentence."""
        return SENTENCE_END.split(self.header)[0]


def declared(path: Path) -> Declared:
    """Read a YAML file's comments. Raises UserError for a file that is no YAML."""
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
        whole = "# @package _global_" in lines  # then the dataclass is all that is below the file's one key
        options = {name: text or docstrings.get(name.partition(".")[2] if whole else name, "") for name, text in options.items()}
    return Declared(header, options, groups)


def field_docstrings(module: str, name: str) -> dict[str, str]:
    """The docstrings below a dataclass' fields, read from its source: importing it may take seconds."""
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
    """The comment lines that a file begins with, but for the command that it belongs to and Hydra's directive."""
    words = []
    for line in lines:
        if not line.startswith("#"):
            break
        words.append(line.removeprefix("#").strip())
    return " ".join(line for line in words if not COMMAND.match(line))


def _groups(lines: list[str], defaults: yaml.Node) -> dict[str, str]:
    """The groups in a defaults list, without overrides of those that are chosen from elsewhere."""
    groups = {}
    for item in defaults.value:
        for key, value in item.value if isinstance(item, yaml.MappingNode) else ():
            if not key.value.startswith("override "):
                groups[key.value.lstrip("/").partition("@")[0]] = _behind(lines, value.end_mark)
    return groups


def _options(lines: list[str], key: yaml.Node, value: yaml.Node, prefix: str) -> dict[str, str]:
    """The comments of an option or a mapping, and of what is in it."""
    name = f"{prefix}{key.value}"
    inline = value.start_mark.line == key.start_mark.line
    found = {name: _behind(lines, value.end_mark if inline else key.end_mark) or _above(lines, key.start_mark)}
    for inner_key, inner in value.value if isinstance(value, yaml.MappingNode) else ():
        found |= _options(lines, inner_key, inner, f"{name}.")
    return found


def _behind(lines: list[str], end: yaml.Mark) -> str:
    """The comment on the line where a value ends, or a key and its colon."""
    match = re.match(r":?\s+#(.*)", lines[end.line][end.column :]) if end.line < len(lines) else None
    return match[1].strip() if match else ""


def _above(lines: list[str], start: yaml.Mark) -> str:
    """The comment lines above a key, as far in as it is; a file's first comment is none of a key's."""
    first = start.line
    while first and re.match(rf" {{{start.column}}}#", lines[first - 1]):
        first -= 1
    return " ".join(line.strip().removeprefix("#").strip() for line in lines[first : start.line]) if first else ""
