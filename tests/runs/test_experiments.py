"""Experiments: which runs a sweep has, that each is done once, and that a broken one goes on."""

import json
import shlex
import shutil
import sys
from itertools import product
from pathlib import Path

import pytest
from checkout import checkout, run
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hydra_plugins.grid_sweeper import listed
from twosome.errors import UserError
from twosome.runs.commands import sweep_command
from twosome.runs.experiments import combinations
from twosome.experiment.resume import IRRELEVANT, differences, fingerprint

GRIDS = [
    {"env.task": ["tomato_salad", "onion_salad"], "norm": ["word", "token"], "total_steps": 64, "seed": [0, 1]},
    {"env.task": "tomato_salad", "baseline": "ppo", "seed": [0, 1]},
]
EXPERIMENT = """# @package _global_
# python src/run.py -m experiment={name}
defaults:
  - override /hydra/sweeper: grids
  - override /model: tiny_random
evaluation: {{episodes: 1, gif: false}}
ppo: {{num_envs: 2, num_steps: 16}}
env: {{kwargs: {{max_primitive_steps: 10}}}}
hydra:
  mode: MULTIRUN
  sweeper:
    grids:
      - {{env.task: tomato_salad, norm: {norms}, total_steps: 64, seed: [0, 1]}}
"""
TINY = ["src/run.py", "experiment=tiny"]


def runs(*words: str, grids=GRIDS) -> list[set[str]]:
    """The sweep's runs, each as the set of its overrides."""
    return [set(run) for run in combinations(grids, OverridesParser.create().parse_overrides(list(words)))]


def test_grids_are_products_one_after_the_other():
    expected = [
        {f"env.task={task}", f"norm={norm}", "total_steps=64", f"seed={seed}"}
        for task, norm, seed in product(["tomato_salad", "onion_salad"], ["word", "token"], [0, 1])
    ]
    assert runs() == [*expected, *({"env.task=tomato_salad", "baseline=ppo", f"seed={seed}"} for seed in (0, 1))]


def test_a_word_picks_and_a_number_is_set():
    assert runs("norm=word", "seed=3", "env.task=onion_salad") == [
        {"env.task=onion_salad", "norm=word", "total_steps=64", "seed=3"}
    ]
    assert runs("baseline=ppo", "seed=2,3", "total_steps=1_000") == [
        {"env.task=tomato_salad", "baseline=ppo", f"seed={seed}", "total_steps=1000"} for seed in (2, 3)
    ]
    assert all("algorithm.num_envs=8" in run for run in runs("algorithm.num_envs=8"))
    assert len(runs("algorithm.num_envs=4,8")) == 2 * len(runs())


def test_a_grid_that_names_bases_stands_for_one_on_each():
    bases = {"first": {"norm": "word", "seed": [0, 1]}, "second": {"norm": "none", "seed": 2}}
    ppo = {"baseline": "ppo", "seed": 3}
    found = listed({"some": [{"base": ["first", "second"], "seed": 4}], "more": [{"base": "second"}, ppo]}, bases)
    assert found == [{"norm": "word", "seed": 4}, {"norm": "none", "seed": 4}, bases["second"], ppo]
    assert listed(None, bases) == []
    with pytest.raises(UserError, match=r"grids: base=secnd: expected one of first, second; did you mean .*base=second\?"):
        listed([{"base": ["first", "secnd"]}], bases)


@given(st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1), st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1))
def test_a_run_that_two_grids_share_is_done_once(one, other):
    grids = [{"norm": "word", "seed": one}, {"norm": "word", "seed": other}]
    found = runs(grids=grids)
    assert len(found) == len(set(one) | set(other))
    assert {frozenset(run) for run in found} == {frozenset({"norm=word", f"seed={seed}"}) for seed in one + other}


@pytest.mark.parametrize(
    ("words", "grids", "message"),
    [
        (["norm=words"], GRIDS, "norm=words: expected one of token, word; did you mean norm=word?"),
        (["norm=word,none"], GRIDS, "norm=none: expected one of token, word"),
        (["norm=word", "baseline=ppo"], GRIDS, "none is left with norm=word and baseline=ppo"),
        ([], [], "hydra.sweeper.grids: expected at least one run; none is left"),
        ([], [{"norm": "word", "seed": []}], "hydra.sweeper.grids: expected at least one run; none is left"),
        ([], [{"norm": "word"}], 'expected seed: [...] in each grid; there is none in {"norm": "word"}'),
    ],
)
def test_no_runs_is_one_line(words, grids, message):
    with pytest.raises(UserError) as raised:
        runs(*words, grids=grids)
    assert str(raised.value).endswith(message)


def test_a_fingerprint_tells_what_makes_another_run():
    config = OmegaConf.create({"seed": 0, "model": {"seed": "${seed}"}, "tuning": {"rank": 8}, **dict.fromkeys(IRRELEVANT, 1)})
    same, other = config.copy(), config.copy()
    for key in IRRELEVANT:
        same[key] = 2
    other.seed = 1
    assert fingerprint(same) == fingerprint(config)
    assert fingerprint(OmegaConf.create(OmegaConf.to_yaml(config, resolve=True))) == fingerprint(config)
    assert differences(same, config) == []
    assert fingerprint(other) != fingerprint(config)
    assert differences(other, config) == ["model.seed", "seed"]
    del other.tuning
    assert differences(other, config) == ["model.seed", "seed", "tuning.rank"]


def test_an_option_that_earlier_runs_lack_counts_where_it_changes_something():
    earlier = OmegaConf.create({"seed": 0, "ppo": {"clip_vloss": True}})
    same = OmegaConf.merge(earlier, {"init": None, "ppo": {"pairwise_vloss": False}})
    other = OmegaConf.merge(earlier, {"ppo": {"pairwise_vloss": True}})
    assert fingerprint(same) == fingerprint(earlier)
    assert differences(same, earlier) == []
    assert fingerprint(other) != fingerprint(earlier)
    assert differences(other, earlier) == ["algorithm.pairwise_vloss"]


@pytest.mark.parametrize(("words", "folder", "more"), [
    ("-m seed=0,1", "new", "-m seed=0,1 hydra.sweep.dir=new"),
    ("seed=0,1 norm=word -m", "new", "seed=0,1 norm=word hydra.sweep.dir=new -m"),
    ("-m hydra.sweep.dir=${now:%H} seed=0,1", "12", "-m hydra.sweep.dir=12 seed=0,1"),
    ("-m 'env.prompt=[a b]'", "a folder, my own", "-m 'env.prompt=[a b]' 'hydra.sweep.dir=a folder, my own'"),
    ("experiment=tiny seed=0,1", None, "experiment=tiny seed=0,1"),
])  # fmt: skip
def test_a_sweeps_command_line_is_repeated_with_its_folder(monkeypatch, words, folder, more):
    monkeypatch.setattr("sys.argv", ["src/run.py", *shlex.split(words)])
    found = sweep_command(folder and Path(folder))
    python, _, said = found.partition(" ")
    assert Path(sys.executable).absolute() == Path(python).absolute()
    assert said == f"src/run.py {more}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkout with an experiment of two runs, which have been done, and one of four, two of them shared."""
    folder = checkout(tmp_path_factory.mktemp("sweep"))
    for name, norms in (("tiny", "word"), ("both", "[token, word]")):
        (folder / "experiments" / f"{name}.yaml").write_text(EXPERIMENT.format(name=name, norms=norms))
    (first,) = run(folder, [[*TINY, "hydra.sweeper.results=results/tiny"]])
    assert first.code == 0, first.output
    assert "2 runs: 2 trained, 0 resumed, 0 failed, 0 finished before" in first.output
    return folder


def found(folder: Path) -> list[Path]:
    """The folders of finished runs."""
    return sorted(path.parent for path in (folder / "runs").glob("*/*/DONE"))


def test_runs_lie_where_their_configuration_says(folder):
    names = [path.relative_to(folder / "runs").as_posix() for path in found(folder)]
    assert [name[:-8] for name in names] == ["overcooked-tomato_salad/twosome-seed0-", "overcooked-tomato_salad/twosome-seed1-"]
    for path in found(folder):
        assert path.name.endswith(fingerprint(OmegaConf.load(path / "config.yaml")))


def test_results_are_copied_and_nothing_else(folder):
    for path in found(folder):
        copied = folder / "results" / "tiny" / path.name
        assert {file.name for file in copied.iterdir()} == {
            *("config.yaml", "overrides.yaml", "choices.json", "provenance.json"),
            *("metrics.csv", "episodes.csv", "evaluation.json", "retention.json", "DONE"),
        }
        assert all((path / file.name).read_bytes() == file.read_bytes() for file in copied.iterdir())


def test_finished_runs_are_evaluated_by_a_suite_once(folder):
    words = [*TINY, "seed=0", "hydra.sweeper.suite=unseen", "hydra.sweeper.results=results/unseen"]
    (first,) = run(folder, [words])
    assert first.code == 0, first.output
    (copied,) = (folder / "results" / "unseen").iterdir()
    records = json.loads((copied / "evaluation.json").read_text())
    assert {record["when"] for record in records if record["task"] == "onion_salad"} == {"random", "before", "after"}
    assert {record["episodes"] for record in records} == {1}  # as in the run's own evaluation
    played = [path / "evaluation.json" for path in found(folder) if path.name == copied.name]
    times = [path.stat().st_mtime_ns for path in played]
    (again,) = run(folder, [words])
    assert again.code == 0, again.output
    assert [path.stat().st_mtime_ns for path in played] == times


def test_suites_get_options_and_bad_ones_are_reported_before_anything_is_trained(folder):
    suites = [*TINY, "seed=0", "hydra.sweeper.results=results/asked"]
    bad = ["hydra.sweeper.suite=[drift,unsee]"], ["hydra.sweeper.suite=drift", "+hydra.sweeper.evaluate.retention.limt=3"]
    good = ["hydra.sweeper.suite=[drift,unseen]", "+hydra.sweeper.evaluate.gif=false"]
    for outcome, word in zip(run(folder, [[*suites, *words, "seed=77"] for words in bad]), ("suite=unsee", "limt"), strict=True):
        assert outcome.code == 2
        assert word in outcome.output
        assert "seed77" not in outcome.output
    (asked,) = run(folder, [[*suites, *good]])
    assert asked.code == 0, asked.output
    (copied,) = (folder / "results" / "asked").iterdir()
    assert "drift" in json.loads((copied / "retention.json").read_text())


def test_finished_runs_are_skipped_broken_ones_go_on_and_shared_ones_are_done_once(folder):
    whole, broken = found(folder)
    (broken / "DONE").unlink()
    episodes = (broken / "episodes.csv").read_bytes()
    (broken / "checkpoints" / "update=000002.ckpt").unlink()  # as if killed in the second of two updates
    before = (whole / "provenance.json").stat().st_mtime_ns
    again, both = run(folder, [TINY, ["src/run.py", "-m", "experiment=both", "seed=0", "norm=token,word"]])
    assert again.code == both.code == 0
    assert f"resumed: {broken}\n2 runs: 0 trained, 1 resumed, 0 failed, 1 finished before" in again.output
    assert f"finished: {whole}" in again.output
    assert (broken / "episodes.csv").read_bytes() == episodes
    assert "2 runs: 1 trained, 0 resumed, 0 failed, 1 finished before" in both.output
    assert (whole / "provenance.json").stat().st_mtime_ns == before


def test_failed_runs_are_reported_with_their_folders(folder):
    (finished,) = run(folder, [[*TINY, "seed=0", "tuning.target_modules=[query],null", "hydra.sweeper.results=results/failed"]])
    assert finished.code == 2
    *_, job, last = finished.output.splitlines()
    assert "tuning.target_modules=['query']: llama has no linear layer named query" in job
    assert last.startswith("error: 1 of 2 runs failed; the same command resumes them: ")
    assert "twosome-seed0-" in last
    assert not (folder / "results" / "failed").exists()


def test_bad_input_ends_a_sweep_before_its_first_run(folder):
    before = sorted((folder / "runs").rglob("*"))
    (finished,) = run(folder, [[*TINY, "seed=2,-1"]])
    assert (finished.code, finished.output) == (2, "error: seed=-1: expected an integer from 0 to 2**32 - 1\n")
    assert sorted((folder / "runs").rglob("*")) == before


def test_another_run_in_the_place_is_refused(folder):
    (copied, *_) = (folder / "results" / "tiny").iterdir()
    place = folder / "runs" / "overcooked-tomato_salad" / copied.name
    kept = folder / "kept"
    shutil.copytree(place, kept)
    (place / "config.yaml").write_text((place / "config.yaml").read_text().replace("total_steps: 64", "total_steps: 96"))
    (finished,) = run(folder, [TINY])
    shutil.rmtree(place)
    kept.replace(place)
    assert finished.code == 2
    assert finished.output.strip().endswith("there is another one in it, with total_steps=96 (not 64)")
