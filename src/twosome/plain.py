"""Read YAML and JSON from untrusted sources: plain values only, of bounded size and depth."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

MAX_DEPTH = 32
"""The greatest depth of nested maps and lists."""
MAX_YAML_BYTES = 256_000
"""The largest YAML file. A run's config.yaml has 3 to 5 kB; PyYAML reads about 100 kB per second."""
MAX_JSON_BYTES = 64_000_000

Keys = tuple[str, ...]
"""The path to a value, from the outermost map or list; an item of a list has its index."""


class PlainLoader(yaml.SafeLoader):
    """A loader of YAML's scalars, lists and maps. A date stays a string, as in OmegaConf, and ``<<`` is an ordinary key."""


_SPECIAL = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")
PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _SPECIAL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str) -> Any:
    """Parse a YAML document of scalars, lists and maps.

    Raises ValueError for invalid YAML, for a tag (it can name a Python object), for an anchor or an alias (a document can grow
    without bound), for an interpolation ``${...}`` (it can read environment variables), and for too many levels.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            _check_event(event)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            _check_depth(depth)
        return yaml.load(text, Loader=PlainLoader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _check_event(event: yaml.Event) -> None:
    line = event.start_mark.line + 1 if event.start_mark else 0
    if anchor := getattr(event, "anchor", None):
        raise ValueError(f"line {line} has an anchor or an alias (&{anchor}), expected none")
    if tag := getattr(event, "tag", None):
        raise ValueError(f"line {line} has the tag {tag}, expected none")
    if isinstance(event, yaml.ScalarEvent) and "${" in event.value:
        raise ValueError(f"line {line} has {event.value[:60]}, expected a value and no interpolation")


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"it has more than {MAX_DEPTH} levels of maps and lists")


def parse_json(text: str) -> Any:
    """Parse JSON. Raises ValueError for invalid JSON, and for a document with too many levels."""
    try:
        content = json.loads(text)
    except RecursionError:
        _check_depth(MAX_DEPTH + 1)
    for path, _ in walk(content):
        _check_depth(len(path))
    return content


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a YAML file that holds a map. Raises OSError, and ValueError if it is invalid or too large."""
    return _read(file, parse_yaml, dict, MAX_YAML_BYTES)


def read_json(file: Path, kind: type) -> Any:
    """Read a JSON file that holds a kind (dict or list). Raises OSError, and ValueError if it is invalid or too large."""
    return _read(file, parse_json, kind, MAX_JSON_BYTES)


def _read(file: Path, parse: Callable[[str], Any], kind: type, max_bytes: int) -> Any:
    if (size := file.stat().st_size) > max_bytes:
        raise ValueError(f"it has {size:,} bytes, expected at most {max_bytes:,}")
    content = parse(file.read_text(encoding="utf-8"))
    if not isinstance(content, kind):
        raise ValueError(f"it holds {type(content).__name__}, expected {'a map' if kind is dict else 'a list'}")
    return content


def walk(tree: Any, path: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield every entry of nested maps and lists with its path, outer entries first."""
    waiting = [(path, tree)]
    while waiting:
        path, value = waiting.pop()
        if path:
            yield path, value
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        waiting += [((*path, str(key)), inner) for key, inner in items]
