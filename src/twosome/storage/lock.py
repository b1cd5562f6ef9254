"""One process at a time in a run's folder."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from twosome.errors import UserError

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder: no other process that asks for it gets it. Of a run on several processes, the first one asks.

    The lock is the operating system's (flock), which ends with its process however that dies. On entry, parts of files that a
    killed process left are removed. Raises UserError if another process has the folder.
    """
    file = folder / LOCK
    lock = FileLock(file, timeout=0.2)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"run folder {folder}: in use by {file.read_text().strip() or 'another process'}; expected a folder that no other "
            "process works in"
        ) from None
    try:
        file.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
        for part in (*folder.glob(".*.part"), *folder.glob("*/.*.part")):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        yield
    finally:
        file.unlink(missing_ok=True)  # still locked, so nobody else's
        lock.release()
