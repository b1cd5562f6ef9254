"""hydra/sweeper=optuna: what is searched, trials that depend on the scores alone, and whole searches by the command."""

import json
import math
from pathlib import Path

import pytest
from checkout import checkout, run
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from twosome.errors import RunError, UserError
from twosome.runs.search import Search, SearchConfig, space_of

WORDS = ["rate=tag(log,interval(1e-4,1e-1))", "rank=int(interval(1,9))", "norm=word,token"]
SMALL = tuple(
    [
        "model=tiny_random",
        "algorithm.num_envs=2",
        "algorithm.num_steps=8",
        "total_steps=16",
        "evaluation.episodes=2",
        "evaluation.gif=false",
        "retention.drift=false",
        "env.kwargs.max_primitive_steps=10",
    ]
)
SEARCH = (
    "-m hydra/sweeper=optuna hydra.sweeper.n_startup_trials=1 hydra.sweeper.seeds=[0,1] "
    "algorithm.learning_rate=tag(log,interval(1e-4,1e-2))"
)


def space(words=WORDS):
    return space_of(OverridesParser.create().parse_overrides(list(words)))


def config(**changed) -> SearchConfig:
    options = {"n_trials": 12, "n_jobs": 2, "seeds": [0], "direction": "maximize", "seed": 3, "n_startup_trials": 4}
    return SearchConfig(**options | changed)


def score(trial) -> float:
    """Best at a rate of 1e-2, rank 5, norm=word."""
    values = trial.values
    return -abs(math.log10(values["rate"]) + 2) - abs(values["rank"] - 5) / 4 - (values["norm"] == "token")


def searched(folder: Path, stop: int = 99, **changed) -> Search:
    """Run a search; stop it after so many trials, when the next ones have been chosen."""
    folder.mkdir(exist_ok=True)
    search = Search(folder, config(**changed), space(), ["env=overcooked"])
    while trials := search.next_trials():
        if trials[0].number >= stop:
            break
        for trial in trials:
            search.record(trial, [score(trial)])
    return search


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("x=interval(0,1)", FloatDistribution(0, 1)),
        ("x=tag(log,interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("x=int(interval(4,16))", IntDistribution(4, 16)),
        ("x=range(2,11,4)", IntDistribution(2, 10, step=4)),
        ("x=word,token", CategoricalDistribution(["word", "token"])),
        ("x=choice(true,false)", CategoricalDistribution(["True", "False"])),
    ],
)
def test_what_is_searched(word, distribution):
    assert space([word]) == {"x": distribution}


def test_without_several_values_there_is_nothing_to_search():
    with pytest.raises(UserError, match="expected an option to search, as in"):
        space(["norm=word"])
    with pytest.raises(UserError, match=r"x=interval\(2,1\): expected a range to search"):
        space(["x=interval(2,1)"])


def test_a_stopped_search_goes_on_as_if_it_had_not_been(tmp_path):
    whole = searched(tmp_path / "whole")
    stopped = searched(tmp_path / "stopped", stop=6)
    assert [trial.scores for trial in stopped.trials[6:]] == [[], []]  # chosen, not run
    assert searched(tmp_path / "stopped").trials == whole.trials
    assert (tmp_path / "stopped" / "search.json").read_bytes() == (tmp_path / "whole" / "search.json").read_bytes()
    assert len(whole.trials) == 12


def test_more_trials_continue_a_finished_search(tmp_path):
    few = searched(tmp_path / "few", n_trials=8)
    assert searched(tmp_path / "few").trials == searched(tmp_path / "whole").trials
    assert len(few.trials) == 8


def test_it_finds_better_values_than_chance(tmp_path):
    """The median over seeds of the last trials' scores lies above that of the random ones."""
    better = 0
    for seed in range(5):
        trials = searched(tmp_path / str(seed), n_trials=24, n_jobs=1, seed=seed, n_startup_trials=8).trials
        random, later = [score(trial) for trial in trials[:8]], [score(trial) for trial in trials[16:]]
        better += sorted(later)[4] > sorted(random)[4]
    assert better >= 4


def test_directions_and_failed_trials(tmp_path):
    search = Search(tmp_path, config(n_jobs=3, seeds=[0, 1], direction="minimize"), space(), [])
    first, second, third = search.next_trials()
    search.record(first, [1.0, float("nan")])
    with pytest.raises(RunError, match="none of 3 trials has a score"):
        search.report()
    search.record(second, [0.5, 0.7])
    search.record(third, ["Failure", None])
    assert (first.score, second.score, third.score) == (None, pytest.approx(0.6), None)
    assert search.best() is second
    assert search.report().splitlines()[-1].startswith("best of 3 trials, 0.6000: rate=")
    assert len(search.next_trials()) == 3  # failed ones do not stop it


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"seed": 4}, "has a search with seed 3, expected 4"), ({"direction": "minimize"}, "has a search with direction maximize")],
)
def test_a_folder_keeps_to_its_search(tmp_path, changed, message):
    searched(tmp_path, n_trials=2)
    with pytest.raises(UserError, match=message):
        searched(tmp_path, **changed)
    (tmp_path / "search.json").write_text("{")
    with pytest.raises(UserError, match="expected the trials of a search"):
        searched(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_trials": 0}, "hydra.sweeper.n_trials=0: expected an integer above 0"),
        ({"seeds": [1, 1]}, "expected one seed or more, each once"),
        ({"direction": "up"}, "expected one of"),
    ],
)
def test_bad_options(changed, message):
    with pytest.raises(UserError, match=message):
        config(**changed)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A search of two trials, continued by a third, then read by the summary; and bad input. By name, how each command ended."""
    folder = checkout(tmp_path_factory.mktemp("search"))
    words = {
        "first": [*SEARCH.split(), "hydra.sweeper.n_trials=1"],
        "more": [*SEARCH.split(), "hydra.sweeper.n_trials=2"],
        "other": [*SEARCH.split(), "norm=token"],
        "unseeded": [*SEARCH.split(), "seed=3"],
        "scoreless": [*SEARCH.split(), "evaluation.episodes=0"],
        "nothing": ["-m", "hydra/sweeper=optuna", "norm=word"],
        "single": ["hydra/sweeper=optuna", "norm=word"],
    }
    commands = [["src/run.py", *SMALL, *each] for each in words.values()]
    commands = [[*each, *(["hydra.sweep.dir=search"] if "-m" in each else [])] for each in commands]
    commands[4][-1] = "hydra.sweep.dir=scoreless"
    outcomes = run(folder, [*commands, ["analysis/summary.py", "search", "--out", "drawn"]])
    return folder, dict(zip([*words, "summary"], outcomes, strict=True))


def test_a_search_leaves_a_run_per_seed_and_goes_on(ended):
    folder, outcomes = ended
    assert outcomes["first"].code == 0, outcomes["first"].output
    assert outcomes["more"].code == 0, outcomes["more"].output
    assert "update 1/1" in outcomes["more"].output
    found = json.loads((folder / "search" / "search.json").read_text())
    assert [len(trial["scores"]) for trial in found["trials"]] == [2, 2]
    assert sorted(path.parent.name for path in folder.glob("search/*/DONE")) == ["0-seed0", "0-seed1", "1-seed0", "1-seed1"]
    rates = {path.parent.name: json.loads(path.read_text())["label"] for path in folder.glob("search/*/provenance.json")}
    assert (
        rates["0-seed0"] == rates["0-seed1"] == f"0: learning_rate={found['trials'][0]['values']['algorithm.learning_rate']:.3g}"
    )
    assert f"best of 2 trials, {max(trial['score'] for trial in found['trials']):.4f}" in outcomes["more"].output


def test_the_summary_has_a_row_per_trial(ended):
    folder, outcomes = ended
    assert outcomes["summary"].code == 0, outcomes["summary"].output
    text = (folder / "drawn" / "summary.md").read_text()
    assert all(f"| {number}: learning_rate=" in text for number in (0, 1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other", "has a search with fixed"),
        ("unseeded", "seed: expected none beside hydra/sweeper=optuna"),
        ("scoreless", "evaluation.episodes=0: expected 1 or more in a search"),
        ("nothing", "hydra/sweeper=optuna: expected an option to search"),
        ("single", "hydra/sweeper=optuna: expected -m with it"),
    ],
)
def test_bad_input_is_one_line(ended, name, message):
    outcome = ended[1][name]
    assert outcome.code == 2
    assert message in outcome.output
    assert outcome.output.count("\n") == 1
