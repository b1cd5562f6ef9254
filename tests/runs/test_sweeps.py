"""Experiments: which runs a sweep has, where they lie, that each is done once, and that a broken one goes on."""

import json
from itertools import product
from pathlib import Path

import pytest
from checkout import call
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from small import ROLLOUT, SHORT, SMALL

from hydra_plugins.grid_sweeper import combinations, listed
from twosome.errors import UserError
from twosome.experiment.resume import fingerprint

GRIDS = [
    {"env.task": ["tomato_salad", "onion_salad"], "norm": ["word", "token"], "total_steps": 64, "seed": [0, 1]},
    {"env.task": "tomato_salad", "baseline": "ppo", "seed": [0, 1]},
]
TINY = ["src/run.py", "-m", "hydra/sweeper=grids", "model=tiny_random", *ROLLOUT, *SHORT]
GRID = "hydra.sweeper.grids=[{env.kwargs.max_primitive_steps:10,env.task:tomato_salad,norm:word,total_steps:64,seed:[0,1]}]"


def runs(*words: str, grids: list = GRIDS) -> list[set[str]]:
    """The sweep's runs, each as the set of its overrides."""
    return [set(run) for run in combinations(grids, OverridesParser.create().parse_overrides(list(words)))]


def test_grids_are_products_one_after_the_other() -> None:
    expected = [
        {f"env.task={task}", f"norm={norm}", "total_steps=64", f"seed={seed}"}
        for task, norm, seed in product(["tomato_salad", "onion_salad"], ["word", "token"], [0, 1])
    ]
    assert runs() == [*expected, *({"env.task=tomato_salad", "baseline=ppo", f"seed={seed}"} for seed in (0, 1))]


def test_a_word_picks_and_a_number_is_set() -> None:
    assert runs("norm=word", "seed=3", "env.task=onion_salad") == [
        {"env.task=onion_salad", "norm=word", "total_steps=64", "seed=3"}
    ]
    assert runs("baseline=ppo", "seed=2,3", "total_steps=1_000") == [
        {"env.task=tomato_salad", "baseline=ppo", f"seed={seed}", "total_steps=1000"} for seed in (2, 3)
    ]
    assert len(runs("algorithm.num_envs=4,8")) == 2 * len(runs())


def test_a_grid_that_names_bases_stands_for_one_on_each() -> None:
    bases = {"first": {"norm": "word", "seed": [0, 1]}, "second": {"norm": "none", "seed": 2}}
    ppo = {"baseline": "ppo", "seed": 3}
    found = listed({"some": [{"base": ["first", "second"], "seed": 4}], "more": [{"base": "second"}, ppo]}, bases)
    assert found == [{"norm": "word", "seed": 4}, {"norm": "none", "seed": 4}, bases["second"], ppo]


def test_a_run_that_two_grids_share_is_done_once() -> None:
    assert len(runs(grids=[{"norm": "word", "seed": [0, 1]}, {"norm": "word", "seed": [1, 2]}])) == 3


@pytest.mark.parametrize(("words", "message"), [
    (["norm=words"], "norm=words: expected one of token, word"),
    (["norm=word", "baseline=ppo"], "expected at least one run; none is left"),
])  # fmt: skip
def test_no_runs_is_one_line(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        runs(*words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a sweep of two runs was done."""
    folder = tmp_path_factory.mktemp("sweep")
    first = call(folder, [*TINY, GRID, "hydra.sweeper.results=results/tiny"])
    assert first.code == 0, first.output
    assert "2 runs, 0 of them finished before" in first.output
    return folder


def found(folder: Path) -> list[Path]:
    """The folders of finished runs."""
    return sorted(path.parent for path in (folder / "runs").glob("*/*/DONE"))


def test_runs_lie_where_their_configuration_says(folder: Path) -> None:
    names = [path.relative_to(folder / "runs").as_posix() for path in found(folder)]
    assert [name[:-8] for name in names] == ["overcooked-tomato_salad/twosome-seed0-", "overcooked-tomato_salad/twosome-seed1-"]
    for path in found(folder):
        assert path.name.endswith(fingerprint(OmegaConf.load(path / "config.yaml")))


def test_results_are_copied_and_nothing_else(folder: Path) -> None:
    for path in found(folder):
        copied = folder / "results" / "tiny" / path.name
        assert {file.name for file in copied.iterdir()} == {
            *("config.yaml", "overrides.yaml", "choices.json", "provenance.json"),
            *("metrics.csv", "episodes.csv", "evaluation.json", "DONE"),
        }


def test_a_broken_run_goes_on_and_suites_evaluate_all(folder: Path) -> None:
    whole, broken = found(folder)
    (broken / "DONE").unlink()
    (broken / "checkpoints" / "update=000002.ckpt").unlink()  # as if killed in the second of two updates
    episodes, before = (broken / "episodes.csv").read_bytes(), (whole / "metrics.csv").stat().st_mtime_ns
    again = call(folder, [*TINY, GRID, "hydra.sweeper.suite=[unseen]", "hydra.sweeper.results=results/unseen"])
    assert again.code == 0, again.output
    assert "2 runs, 1 of them finished before" in again.output
    assert (broken / "episodes.csv").read_bytes() == episodes
    assert (whole / "metrics.csv").stat().st_mtime_ns == before
    for copied in (folder / "results" / "unseen").iterdir():
        records = json.loads((copied / "evaluation.json").read_text())
        assert {record["when"] for record in records if record["task"] == "onion_salad"} == {"random", "before", "after"}
        assert {record["episodes"] for record in records} == {1}  # as in the run's own evaluation


@pytest.mark.slow
def test_jobs_of_submitit_are_runs_like_others(tmp_path: Path) -> None:
    ended = call(tmp_path, ["src/run.py", "-m", "hydra/launcher=submitit_local", *SMALL, "seed=0,1", "hydra.sweep.dir=sweep"])
    assert ended.code == 0, ended.output
    assert sorted(path.parent.name for path in (tmp_path / "sweep").glob("*/DONE")) == ["0", "1"]
