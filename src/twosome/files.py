"""Open folders of others, write files atomically, compute their checksums, and name the folder of caches."""

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from twosome.errors import UserError


def check_folder(folder: Path) -> None:
    """Open the folder of a run, or of published tables, which may come from anybody: check that all in it is a file or a folder.

    A link can lead to a file that is nobody's business or that would be overwritten, and a pipe is waited for. Raises UserError.
    """
    for parent, folders, files in os.walk(folder):
        if Path(parent) == folder / "wandb":  # Weights & Biases puts links to its logs there; nothing is read from it
            folders.clear()
            continue
        for path in (Path(parent, name) for name in (*folders, *files)):
            with contextlib.suppress(FileNotFoundError):  # a run that is under way writes and removes files
                mode = path.lstat().st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    kind = "a link" if stat.S_ISLNK(mode) else "a pipe or a device"
                    raise UserError(f"{path}: expected only files and folders in {folder}, this is {kind}; remove it")


def write_atomic(path: Path, content: str | bytes, parents: bool = False) -> Path:
    """Write a file so that a reader, or a crash at any moment, sees the old content or the new, never a part; return the path.

    parents: make the folders above it. A run's folder that was renamed or removed is not to be made again.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def cache_root() -> Path:
    """Return the folder of what is kept for later runs on this machine: ``$TWOSOME_CACHE``, or ``~/.cache/twosome``."""
    return Path(os.environ.get("TWOSOME_CACHE") or "~/.cache/twosome").expanduser()


def sha256(path: Path) -> str:
    """Return the sha256 (hex) of a file, which is not read into memory as a whole. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
