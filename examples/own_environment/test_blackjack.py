"""The environment keeps the suite's contract, and a small model trains on it: pytest examples/own_environment"""

from pathlib import Path

import pytest

import twosome

HERE = Path(__file__).parent
SMALL = ("model=tiny_random", "algorithm.num_envs=2", "algorithm.num_steps=8", "total_steps=16", "evaluation.episodes=5",
         "retention.drift=false")  # fmt: skip


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the package importable, as PYTHONPATH does for commands."""
    monkeypatch.syspath_prepend(str(HERE))


def test_it_keeps_the_contract() -> None:
    twosome.check_env(twosome.make_env("blackjack", config_dir=HERE / "conf"), steps=200)


def test_a_run_trains_on_it(tmp_path: Path) -> None:
    run = twosome.run("env=blackjack", *SMALL, folder=tmp_path / "run", config_dir=HERE / "conf")
    assert {record["optimum"] for record in run.records} == {-0.0466}
