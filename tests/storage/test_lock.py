"""The lock of a run's folder: one process at a time."""

import errno
import fcntl
import os
import signal
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from twosome.errors import UserError
from twosome.storage.lock import locked

OWNER = f"process {{}} on {os.uname().nodename}"


def assert_refused(folder: Path, owner: str) -> None:
    with pytest.raises(UserError) as error, locked(folder):
        pass
    assert str(error.value) == (
        f"run folder {folder}: in use by {owner}; expected a folder that no other process works in; wait for it or stop it, or "
        "name another folder"
    )


@contextmanager
def forked(work):
    """A child process that calls work(tell), and is killed at the end; given once it has called tell."""
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        try:
            work(lambda: os.write(writer, b"."))
            time.sleep(100)
        finally:
            os._exit(1)
    os.close(writer)
    try:
        assert os.read(reader, 1) == b"."
        yield pid
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_the_file_names_the_owner_and_is_removed_at_the_end(tmp_path):
    folder = tmp_path / "new" / "run"
    with locked(folder):
        assert (folder / ".lock").read_text() == OWNER.format(os.getpid()) + "\n"
        assert_refused(folder, OWNER.format(os.getpid()))
        assert (folder / ".lock").exists()
        (folder / ".lock").write_text("")
        assert_refused(folder, "another process")
    assert not list(folder.iterdir())
    with pytest.raises(ZeroDivisionError), locked(folder):
        raise ZeroDivisionError
    assert not list(folder.iterdir())


def test_the_lock_ends_with_its_process(tmp_path):
    def hold(tell):
        with locked(tmp_path):
            (tmp_path / ".metrics.csv.1.part").touch()
            tell()
            time.sleep(100)

    with forked(hold) as pid:
        assert_refused(tmp_path, OWNER.format(pid))
    assert (tmp_path / ".lock").exists()
    with locked(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]  # and parts of files are gone


def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    with ExitStack() as children:
        with locked(tmp_path):
            os.link(tmp_path / ".lock", tmp_path / "same")
            children.enter_context(forked(lambda tell: tell()))
        (tmp_path / "same").rename(tmp_path / ".lock")
        with locked(tmp_path):
            pass


def test_a_file_that_its_owner_removes_while_it_is_opened_is_no_lock(tmp_path, monkeypatch):
    """The owner holds the lock of a file that it has removed; whoever opened that file before asks again."""
    flock, tries = fcntl.flock, []

    def late(file, how):
        tries.append(how)
        if len(tries) == 1:
            (tmp_path / ".lock").unlink()
        return flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text() == OWNER.format(os.getpid()) + "\n"
        monkeypatch.undo()
        assert_refused(tmp_path, OWNER.format(os.getpid()))
    assert len(tries) >= 2


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, capsys, number):
    def missing(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", missing)
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text() == OWNER.format(os.getpid()) + "\n"
    assert capsys.readouterr().err == f"warning: {tmp_path}: its file system has no locks; let no other process work in it\n"
    assert not list(tmp_path.iterdir())


def test_many_threads_take_turns(tmp_path):
    """The file appears and disappears all the time; no two are inside at once."""
    inside, most = [], []

    def work():
        for _ in range(20):
            try:
                with locked(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except UserError:
                continue

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
