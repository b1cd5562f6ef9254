"""SIGINT (Ctrl-C), SIGTERM and SIGHUP: one line that says how to go on, and the exit code 128 + the signal, at any moment.

A script calls `install` in its first lines, so this module imports nothing that takes time. From then on a signal ends the
process at once; inside `unwinding` it raises Interrupted, so that what is open is closed first. Further signals change nothing,
and GRACE seconds after the first one the process is ended in any case.
"""

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 8.0  # less than the ten seconds that Docker, for one, gives a process after SIGTERM
AGAIN = "repeat the command"

Hint = Callable[[], str]


class Interrupted(BaseException):
    """One of SIGNALS has arrived. No Exception, so that it is not taken for an error on its way out."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum, self.code = signum, 128 + signum


class _State:
    """What this process has received and said so far. hooked: whether `_hook` was called."""

    hooked = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.received: int | None = None
        self.unwinding = self.hinted = False
        self.hint: Hint | None = None


_state = _State()


def install() -> None:
    """Handle the signals from now on, but for those that were ignored when the process was started (nohup, a shell's `&`)."""
    _state.reset()
    if not _state.hooked:
        _hook()
    for signum in SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _handle)


def _hook() -> None:
    """Once in a process: see to it that it ends in time, and that no traceback tells of a signal's exception."""
    _state.hooked = True
    atexit.register(_exit)  # the first to be registered is the last to be called
    os.register_at_fork(after_in_child=_forget)
    sys.excepthook = _silenced(sys.excepthook)
    sys.unraisablehook = _silenced(sys.unraisablehook)
    threading.excepthook = _silenced(threading.excepthook)
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    signal.set_wakeup_fd(sender, warn_on_full_buffer=False)  # Python writes there even while the main thread is in a long call
    threading.Thread(target=_watch, args=(receiver,), daemon=True).start()


def _handle(signum: int, frame: FrameType | None) -> None:
    if _state.received is not None:
        return
    _state.received = signum
    if _state.unwinding:
        raise Interrupted(signum)
    _leave(signum)


def _watch(receiver: int) -> None:
    """End the process GRACE seconds after its first signal, whatever the main thread does."""
    while True:
        (signum,) = os.read(receiver, 1)
        if signal.getsignal(signum) is _handle:
            time.sleep(GRACE)
            tell(signum)
            os._exit(128 + signum)


def _forget() -> None:
    """In a forked process, such as a library's worker: the signals do what they do by default."""
    signal.set_wakeup_fd(-1)
    for signum in SIGNALS:
        if signal.getsignal(signum) is _handle:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)


def _silenced(hook: Callable[..., Any]) -> Callable[..., Any]:
    """One of Python's hooks that print a traceback; after a signal the process ends there, with the line in its place."""

    def silenced(*arguments: Any) -> None:
        if _state.received is None:
            hook(*arguments)
        else:
            _leave(_state.received)

    return silenced


def _exit() -> None:
    """After a signal, leave out the end of the interpreter, in which the next signal would act as by default."""
    if _state.received is not None:
        _leave(_state.received)


def _leave(signum: int) -> None:
    tell(signum)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the interrupted code may be writing to it, or its terminal may be gone
            stream.flush()
    os._exit(128 + signum)


def tell(signum: int | None = None) -> None:
    """Say, once, what ended the process and how to go on."""
    if _state.hinted:
        return
    _state.hinted = True
    cause = f" by {signal.Signals(signum).name}" if signum else ""
    with suppress(OSError):  # after SIGHUP there may be no terminal
        start = "\n" if os.isatty(2) else ""  # behind ^C, or a line of progress
        os.write(2, f"{start}interrupted{cause}; {hint()}\n".encode(errors="surrogateescape"))


def hint() -> str:
    """How to go on."""
    with suppress(Exception):
        return _state.hint() if _state.hint else AGAIN
    return AGAIN


def suggest(hint: Hint, *, instead: bool = False) -> None:
    """Set how to go on from now on; instead: even where it is set already, as by the sweep that a run belongs to."""
    if instead or _state.hint is None:
        _state.hint = hint


@contextmanager
def apart() -> Iterator[None]:
    """Inside, how to go on is not set yet and nothing was said; afterwards both are as before. For runs that share a process."""
    kept = _state.hint, _state.hinted
    _state.hint, _state.hinted = None, False
    try:
        yield
    finally:
        _state.hint, _state.hinted = kept


@contextmanager
def unwinding() -> Iterator[None]:
    """Inside, a signal raises Interrupted; at the end that becomes the line and the exit code."""
    _state.unwinding = True
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        signum = error.signum if isinstance(error, Interrupted) else signal.SIGINT
        tell(signum)
        sys.exit(128 + signum)
    finally:
        _state.unwinding = False


def check() -> None:
    """Raise Interrupted where a signal has come: a library may have turned it into an error of its own."""
    if _state.received is not None:
        raise Interrupted(_state.received)
