"""Handle SIGINT (Ctrl-C), SIGTERM and SIGHUP: print one line with the command to continue, and exit with code 128 + the signal.

A script calls `install` in its first lines, so this module imports nothing that takes time. From then on a signal ends the
process at once. Within the context `unwinding` it raises Interrupted instead, so that resources are closed first. Further signals
have no effect. GRACE seconds after the first signal the process is ended in any case.
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
    """One of SIGNALS was received. It derives from BaseException, so that `except Exception` does not catch it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum, self.code = signum, 128 + signum


class _State:
    """The signal received, the hint and whether it was printed. hooked: whether `_hook` was called in this process."""

    hooked = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.received: int | None = None
        self.unwinding = self.hinted = False
        self.hint: Hint | None = None


_state = _State()


def install() -> None:
    """Install the handlers, except for signals that were ignored when the process was started (nohup, a shell's `&`)."""
    _state.reset()
    if not _state.hooked:
        _hook()
    for signum in SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _handle)


def _hook() -> None:
    """Start the thread that enforces GRACE, and suppress tracebacks of a signal's exception; called once in a process."""
    _state.hooked = True
    atexit.register(_exit)  # the function registered first is called last
    os.register_at_fork(after_in_child=_forget)
    sys.excepthook = _without_traceback(sys.excepthook)
    sys.unraisablehook = _without_traceback(sys.unraisablehook)
    threading.excepthook = _without_traceback(threading.excepthook)
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    signal.set_wakeup_fd(sender, warn_on_full_buffer=False)  # Python writes to it even while the main thread is in a long call
    threading.Thread(target=_watch, args=(receiver,), daemon=True).start()


def _handle(signum: int, frame: FrameType | None) -> None:
    if _state.received is not None:
        return
    _state.received = signum
    if _state.unwinding:
        raise Interrupted(signum)
    _leave(signum)


def _watch(receiver: int) -> None:
    """End the process GRACE seconds after its first signal, independently of the main thread."""
    while True:
        (signum,) = os.read(receiver, 1)
        if signal.getsignal(signum) is _handle:
            time.sleep(GRACE)
            report(signum)
            os._exit(128 + signum)


def _forget() -> None:
    """Restore the default signal handlers; called in a forked process, such as a library's worker."""
    signal.set_wakeup_fd(-1)
    for signum in SIGNALS:
        if signal.getsignal(signum) is _handle:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)


def _without_traceback(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap one of Python's hooks that print a traceback: after a signal, end the process with the one line instead."""

    def silenced(*arguments: Any) -> None:
        if _state.received is None:
            hook(*arguments)
        else:
            _leave(_state.received)

    return silenced


def _exit() -> None:
    """After a signal, skip the interpreter's shutdown, in which the default handlers are active again."""
    if _state.received is not None:
        _leave(_state.received)


def _leave(signum: int) -> None:
    report(signum)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the interrupted code may be writing to it, or the terminal may be closed
            stream.flush()
    os._exit(128 + signum)


def report(signum: int | None = None) -> None:
    """Print once which signal ended the process, and the hint."""
    if _state.hinted:
        return
    _state.hinted = True
    cause = f" by {signal.Signals(signum).name}" if signum else ""
    with suppress(OSError):  # after SIGHUP there may be no terminal
        start = "\n" if os.isatty(2) else ""  # the cursor is after ^C or a line of progress
        os.write(2, f"{start}interrupted{cause}; {hint()}\n".encode(errors="surrogateescape"))


def hint() -> str:
    """Return how to continue after an interruption."""
    with suppress(Exception):
        return _state.hint() if _state.hint else AGAIN
    return AGAIN


def set_hint(hint: Hint, *, instead: bool = False) -> None:
    """Set the hint on how to continue. instead: replace a hint that is set already, for example by the sweep of a run."""
    if instead or _state.hint is None:
        _state.hint = hint


@contextmanager
def isolated() -> Iterator[None]:
    """Use a hint of its own within the context, and restore the previous state afterwards; for runs that share a process."""
    kept = _state.hint, _state.hinted
    _state.hint, _state.hinted = None, False
    try:
        yield
    finally:
        _state.hint, _state.hinted = kept


@contextmanager
def unwinding() -> Iterator[None]:
    """Let a signal raise Interrupted within the context; then print the line and exit with the code."""
    _state.unwinding = True
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        signum = error.signum if isinstance(error, Interrupted) else signal.SIGINT
        report(signum)
        sys.exit(128 + signum)
    finally:
        _state.unwinding = False


def check() -> None:
    """Raise Interrupted if a signal was received, since a library may have turned it into an error of its own."""
    if _state.received is not None:
        raise Interrupted(_state.received)
