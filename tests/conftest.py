"""Settings of all tests."""

import os

# Before PyTorch is imported: pytest's processes and what they start share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a busy machine is no failure
settings.load_profile("suite")

COMMANDS = ("tests", "runs", "distributed")
"""The folders of the tests that run whole commands."""


def pytest_collection_modifyitems(items):
    """Long files first, so that at the end no process waits for another."""
    items.sort(key=lambda item: item.path.parent.name not in COMMANDS)
