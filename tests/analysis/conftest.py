"""A study of several methods, and what the report's command makes of it; tests write elsewhere."""

import pytest
from analysis_tools import WRITES, made, make_study


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def results(study, tmp_path_factory):
    """The folder into which the report's command wrote, and by it all others."""
    out = tmp_path_factory.mktemp("results")
    assert set(made("report", study, "--out", out)) == WRITES["report"]
    return out
