"""Each run that the suite names composes to checked settings.

A run is composed once, whichever experiments and profiles name it, and once for all seeds. Of the profiles' ablations and GLAM's
experiments, whose runs are the experiments' own, one run each shows that the profile's options fit.
"""

import shlex
from functools import cache

import pytest
from checkout import ROOT
from composing import (
    BROUGHT_BY,
    CHOICES,
    EXPERIMENTS,
    PROFILES,
    check,
    compose,
    compose_run,
    composed_experiment,
    grids,
    targets,
)
from dvc.repo import Repo
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import get_object
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.grid_sweeper import combinations
from twosome.evaluation.suites import SUITES


@cache
def check_run(*words: str) -> None:
    """Check what the words compose."""
    check(compose_run(*words))


def check_runs(runs: list[list[str]]) -> None:
    """Check runs, without their seeds."""
    for words in runs:
        check_run(*(word for word in words if not word.startswith("seed=")))


def test_a_composed_run_is_what_hydra_composes():
    words = [
        "env=virtualhome",
        "baseline=twosome",
        "algorithm.gamma=0.5",
        "tuning.target_modules=[q_proj]",
        "algorithm.desired_kl=2",
    ]
    assert compose_run(*words) == compose(*words)
    with pytest.raises(OmegaConfBaseException, match="learning_rat"):
        compose_run("algorithm.learning_rat=1")


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if not choice.startswith("hydra")])
def test_a_choice(choice):
    brought_by = BROUGHT_BY.get(choice.partition("=")[0])
    check_run(*([brought_by] if brought_by else []), choice)


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice.startswith("hydra")])
def test_a_choice_of_launcher_or_sweeper(choice):
    assert all(map(get_object, targets(OmegaConf.to_container(compose(choice).hydra.launcher))))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment(path):
    found = grids(path.stem)
    if len(environments := {grid["env"] for grid in found}) == 1:  # it chooses this, so the command line may set its options
        assert {composed_experiment(path.stem).hydra.runtime.choices.env} == environments
    check_runs(combinations(found, []) if found else [[f"experiment={path.stem}"]])


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_of_the_pipeline(profile):
    with Repo(str(ROOT)) as repo:
        calls = [shlex.split(stage.cmd) for stage in repo.stage.load_all(str(ROOT / PROFILES[profile]))]
    assert {call[0] for call in calls} == {"python"}
    for _, script, *words in calls:
        if script == "src/run.py":
            check_training(profile, words[1:])
        else:
            check_report(profile, words)


def check_report(profile: str, words: list[str]) -> None:
    """The report is drawn from the profile's results, and lies beside them."""
    results = f"results/{profile}"
    assert [word for word in words if ("=" not in word and "results" in word) or word in ("--ablations", "--out")] in (
        [f"{results}/runs", "--ablations", f"{results}/ablation_runs", "--out", results],
        [f"{results}/glam_runs", "--ablations", f"{results}/glam_ablation_runs", "--out", f"{results}/glam"],
    )


def check_training(profile: str, words: list[str]) -> None:
    """The runs of a command compose, its results go to the profile's folder, and its suites exist and take the options."""
    given = OverridesParser.create().parse_overrides(words)
    sweeper = {override.key_or_group: override.value() for override in given if override.key_or_group.startswith("hydra")}
    folder = sweeper.pop("hydra.sweeper.results").split("/")[:3]
    assert folder in [["results", profile, part] for part in ("runs", "ablation_runs", "glam_runs", "glam_ablation_runs")]
    options = {name.removeprefix("hydra.sweeper.evaluate."): value for name, value in sweeper.items() if ".evaluate." in name}
    assert set(sweeper) <= {"hydra.sweeper.suite", *(f"hydra.sweeper.evaluate.{name}" for name in options)}
    suites = sweeper.get("hydra.sweeper.suite") or []
    for suite in [suites] if isinstance(suites, str) else suites:
        assert suite in SUITES
        assert compose(f"suite={suite}", *(f"{name}={value}" for name, value in options.items()), entry="evaluate")
    (experiment,) = [override.value() for override in given if override.key_or_group == "experiment"]
    every = combinations(grids(experiment), [override for override in given if not override.key_or_group.startswith("hydra")])
    check_runs(every[:1] if experiment.startswith(("ablation", "glam")) else every)
