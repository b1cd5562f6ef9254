"""A run that the tests copy, change and go on with."""

from pathlib import Path

import pytest
from small import SMALL

import twosome


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    twosome.run(*SMALL, "evaluation.episodes=2", "retention.drift=true", "retention.limit=1", "retention.every=1", folder=folder)
    return folder
