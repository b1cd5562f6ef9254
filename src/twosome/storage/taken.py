"""Folders that src/export.py writes: trained weights to be taken elsewhere, with a model card and the run's results.

Such a folder is written beside its place and then renamed. Its provenance.json has an entry TAKEN with the checksum of every
other file, by which a later export recognises a folder that it may replace: one that nobody has changed since.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twosome.errors import UserError
from twosome.files import sha256
from twosome.plain import read_json
from twosome.storage.folder import TAKEN, RunFolder

PROVENANCE = "provenance.json"


def check_place(to: Path, option: str) -> None:
    """Raise UserError unless a folder can be exported to this place: it is new, empty, or an export that nobody has changed.

    option: the name of the option that holds the place.
    """
    if not os.path.lexists(to) or (to.is_dir() and not any(to.iterdir())):
        return
    if not to.is_dir() or to.is_symlink():
        raise UserError(f"{option}={to}: expected a folder, this is {'a link' if to.is_symlink() else 'a file'}; name another")
    changes = changed_files(to)
    if changes is None:
        raise UserError(
            f"{option}={to}: holds other things than src/export.py writes; expected a folder that is new, empty, or an earlier "
            f"export; name another, as {to / 'exported'}"
        )
    if changes:
        raise UserError(
            f"{option}={to}: {changes[0]} was changed since it was exported; expected an export as it was written; name another "
            "folder, or remove this one"
        )


def changed_files(folder: Path) -> list[str] | None:
    """Return the files of an exported folder that were added, changed or removed since; None if it is no exported folder."""
    try:
        recorded = read_json(folder / PROVENANCE, dict).get(TAKEN, {}).get("files")
    except (OSError, ValueError, AttributeError):
        return None
    if not isinstance(recorded, dict):
        return None
    now = checksums(folder)
    return sorted(name for name in {*recorded, *now} if recorded.get(name) != now.get(name))


def checksums(folder: Path) -> dict[str, str]:
    """Return the sha256 (hex) of each file below a folder by its path, without provenance.json, which holds them."""
    files = {str(file.relative_to(folder)): file for file in sorted(folder.rglob("*")) if file.is_file()}
    return {name: sha256(file) for name, file in files.items() if name != PROVENANCE}


def seal(folder: Path, provenance: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write provenance.json, the last file of a folder that is to be exported. about: further entries of TAKEN."""
    RunFolder(folder).write_json(PROVENANCE, {**provenance, TAKEN: {**about, "files": checksums(folder)}})


def put_in_place(part: Path, to: Path) -> None:
    """Rename a complete folder to its place. The folder that was there (see `check_place`) is removed only after that."""
    old = to.with_name(f".{to.name}.{os.getpid()}.old")
    if there := to.exists():
        to.rename(old)
    part.rename(to)
    if there:
        shutil.rmtree(old)


def same(one: Path, other: Path) -> bool:
    """Return whether two exported folders hold the same files."""
    equal = other.is_dir() and checksums(one) == checksums(other)
    return equal and (one / PROVENANCE).read_bytes() == (other / PROVENANCE).read_bytes()
