"""One process at a time in a run's folder."""

import errno
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from twosome.errors import RunError, UserError

LOCK = ".lock"
TIMEOUT = 0.2
"""Seconds to try, more than once: a process that releases the lock removes the file, perhaps just when it was opened here."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Inside, no other process that asks for the folder gets it; of a run of several processes, the first one asks.

    The lock is the operating system's (flock), which ends with its process however that dies, and which Linux passes on to
    an NFS server, so that it holds between machines. The file only says whose it is. Where a file system has no locks, a
    line warns and the folder is used all the same. On entry, parts of files that a killed process left are removed.

    Raises UserError where another process has the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        for part in (*folder.glob(".*.part"), *folder.glob("*/.*.part")):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        yield


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock a folder as `locked` does, and leave what is in it as it is: the folder of a search, whose runs have folders below.

    Raises RunError where the folder was renamed or removed meanwhile.
    """
    lock = _acquired(folder)
    moved = RunError(f"{folder}: was renamed or removed while it was in use; put it back or name its new place, and go on there")
    try:
        (folder / LOCK).write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
        yield
        if not (folder / LOCK).exists():
            raise moved
    except Exception as error:
        if (folder / LOCK).exists():
            raise
        raise moved from error
    finally:
        (folder / LOCK).unlink(missing_ok=True)  # still locked, so nobody else's
        lock.release()


def _acquired(folder: Path) -> FileLock:
    """The lock, to be released."""
    file, owner = folder / LOCK, ""
    lock = FileLock(file, timeout=TIMEOUT, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        with suppress(OSError):  # it may have been removed since
            owner = file.read_text().strip()
        raise UserError(
            f"run folder {folder}: in use by {owner or 'another process'}; expected a folder that no other process works in; "
            "wait for it or stop it, or name another folder"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        print(f"warning: {folder}: its file system has no locks; let no other process work in it", file=sys.stderr)
    return lock
