"""Settings of all tests."""

import gc
import os
import signal

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before PyTorch is imported: pytest's processes and what they start share the cores

import pytest
from forking_server import freeze
from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a busy machine is no failure
settings.load_profile("suite")
gc.disable()  # until all tests are imported

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
for _signum in SIGNALS:
    if signal.getsignal(_signum) is signal.SIG_IGN:  # by nohup or a shell's `&`; unlike a handler, it would be inherited
        signal.signal(_signum, lambda *_: None)


COMMANDS = ("tests", "cli", "runs", "distributed")
"""The folders of the tests that run whole commands."""


def pytest_collection_modifyitems(items):
    """Long files first, so that at the end no process waits for another."""
    items.sort(key=lambda item: item.path.parent.name not in COMMANDS)
    freeze()


@pytest.fixture(autouse=True)
def _handlers():
    """The tests' own handlers again, after those of a script that was run in this process."""
    kept = {signum: signal.getsignal(signum) for signum in SIGNALS}
    yield
    for signum, handler in kept.items():
        signal.signal(signum, handler)
