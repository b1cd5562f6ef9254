"""Runs one of the suite's scripts, which is interrupted: ``signalled.py <module>:<name> <nth> <signal> <times> src/run.py ...``.

When that function is called for the nth time, signals come from another process, within 50 ms, to the script's process group, as
from a terminal.
"""

import importlib
import operator
import os
import runpy
import signal
import sys
import time

SECONDS = 0.02  # between two signals


def interrupt(signum: int, times: int) -> None:
    """Have the signals sent; the first of them has to end this."""
    if os.fork() == 0:
        signal.signal(signum, signal.SIG_IGN)
        for _ in range(times):
            time.sleep(SECONDS)
            os.killpg(os.getpgrp(), signum)
        os._exit(0)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        time.sleep(SECONDS)
    raise AssertionError("nothing was interrupted")


def main() -> None:
    """See above."""
    place, nth, signum, times = sys.argv[1], *map(int, sys.argv[2:5])
    os.setsid()
    sys.argv = sys.argv[5:]
    sys.path.insert(0, os.path.abspath(os.path.dirname(sys.argv[0])))
    module, _, name = place.partition(":")
    *owners, last = name.split(".")
    owner = operator.attrgetter(".".join(owners))(importlib.import_module(module)) if owners else importlib.import_module(module)
    original, left = getattr(owner, last), nth

    def called(*arguments, **options):
        nonlocal left
        left -= 1
        if left == 0:
            interrupt(signum, times)
        return original(*arguments, **options)

    setattr(owner, last, called)
    runpy.run_path(sys.argv[0], run_name="__main__")


main()
