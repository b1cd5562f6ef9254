"""One process at a time in a run's folder."""

import errno
import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from twosome.errors import UserError

LOCK = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Inside, no other process that asks for the folder gets it; of a run of several processes, the first one asks.

    The lock is the operating system's (flock), which ends with its process however that dies, and which Linux passes on to
    an NFS server, so that it holds between machines. The file only says whose it is. Where a file system has no locks, a
    line warns and the folder is used all the same. On entry, parts of files that a killed process left are removed.

    Raises UserError where another process has the folder, and where a link in it leads out of it: what the suite writes, moves or
    removes there would be elsewhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_links(folder)
    with _acquired(folder) as file:
        for part in (*folder.glob(".*.part"), *folder.glob("*/.*.part")):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        try:
            yield
        finally:
            Path(file.name).unlink(missing_ok=True)  # still locked, so nobody else's


def _check_links(folder: Path) -> None:
    inside = folder.resolve()
    for parent, folders, files in os.walk(folder):
        if Path(parent) == folder / "wandb":  # has links to its own logs elsewhere, and replaces them
            folders.clear()
            continue
        for path in (Path(parent, name) for name in (*folders, *files)):
            if path.is_symlink() and not (end := Path(os.path.realpath(path))).is_relative_to(inside):
                raise UserError(
                    f"run folder {folder}: {path.relative_to(folder)} is a link to {end}, expected none that leads out of "
                    "the folder; put what it leads to in its place"
                )


def _acquired(folder: Path) -> IO[str]:
    """The lock's file, open and locked."""
    while True:
        file = (folder / LOCK).open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.seek(0)
                owner = file.read().strip() or "another process"
                file.close()
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                raise UserError(
                    f"run folder {folder}: in use by {owner}; expected a folder that no other process works in; "
                    "wait for it or stop it, or name another folder"
                ) from None
            print(f"warning: {folder}: its file system has no locks; let no other process work in it", file=sys.stderr)
        if _is_still(file, folder / LOCK):  # whoever had it before us may just have removed it
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            return file
        file.close()


def _is_still(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
