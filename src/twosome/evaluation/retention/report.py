"""Write the results of a drift probe and of benchmarks to a run's folder."""

from typing import Any

from twosome.evaluation.records import LATER, same
from twosome.evaluation.retention.drift import DriftProbe, texts_checksum
from twosome.storage.folder import RunFolder

FILE = "retention.json"


def measured(probe: DriftProbe) -> dict[str, Any]:
    """Measure the drift; return the entry "drift" of retention.json."""
    return {"texts": texts_checksum(), **probe.measure().summary()}


def write_own(drift: dict[str, Any], folder: RunFolder) -> None:
    """Write the run's own measurement as the entry "drift" of its folder's retention.json."""
    folder.write_json(FILE, folder.read_json(FILE, default={}) | {"drift": drift})


def add_later(found: dict[str, Any], folder: RunFolder, evaluated: dict[str, Any]) -> bool:
    """Add the results of a later evaluation to the list "later" of the folder's retention.json; return whether they were added.

    found: "drift", or "benchmarks" with an entry by name (`benchmarks.comparison`). evaluated: the result of `records.stamp`.
    Existing entries do not change, and equal ones are not added again.
    """
    content = folder.read_json(FILE, default={})
    later = content.get("later", [])
    if any(_has(part, found) for part in (content, *later)):
        return False
    folder.write_json(FILE, content | {"later": [*later, {LATER: evaluated, **found}]})
    return True


def _has(part: dict[str, Any], found: dict[str, Any]) -> bool:
    """Return whether a part of retention.json holds an equal drift or equal entries."""
    if "benchmarks" in found:
        return _has(part.get("benchmarks", {}), found["benchmarks"])
    return all(name in part and same(part[name], found[name]) for name in found)
