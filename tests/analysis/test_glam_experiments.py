"""The runs of GLAM's experiments, as composed, can be drawn together; nothing is trained here.

One that varies an option without a label of its own would be found only by the report, after all trainings.
"""

import math
import shlex
from functools import cache

import pandas as pd
import pytest
from analysis_tools import CLAIMS, PAPER
from checkout import ROOT
from composing import EXPERIMENTS, PROFILES, compose, grids
from dvc.repo import Repo
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from hydra_plugins.grid_sweeper import combinations
from twosome.errors import UserError
from twosome.experiment.resume import fingerprint
from twosome.report.data import collection
from twosome.report.data.run import ABLATION, BEGAN, Run
from twosome.report.statistics import ablations

GLAM = [path.stem for path in EXPERIMENTS if path.stem.startswith("glam") and "run.py -m" in path.read_text()]
ABLATIONS = {each.name: each for each in ablations.read(ROOT / "analysis" / "ablations.yaml") if each.name in GLAM}


@cache
def planned(*words: str) -> tuple[Run, str]:
    """The run that the words compose, as it will be read once it has been trained, and its fingerprint."""
    composed = compose(*words, "hydra.verbose=false")
    config = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
    plain = OmegaConf.to_container(config, resolve=True)
    learns = plain["baseline"]["_target_"] != "twosome.policies.bounds.random" and "affordance" not in plain["baseline"]
    run = Run(
        source=ROOT / "runs" / fingerprint(config), config=plain, choices=dict(composed.hydra.runtime.choices),
        provenance={"model": "a model"} if "tuning" in plain or "affordance" in plain["baseline"] else {}, finished=True,
        steps=plain["total_steps"] if learns else 0, optimizer_steps=math.nan, seconds=0, covered=0, binned=BEGAN,
        bins=pd.DataFrame(), evaluations=pd.DataFrame(),
    )  # fmt: skip
    return run, fingerprint(config)


def of_experiment(name: str, *words: str) -> list[tuple[Run, str]]:
    """The runs of an experiment with the first of the seeds."""
    given = OverridesParser.create().parse_overrides([*words, "seed=0"])
    return [planned(*run) for run in combinations(grids(name), given)]


@cache
def of_profile(profile: str) -> dict[str, list[tuple[Run, str]]]:
    """The runs of GLAM's experiments in a profile of the pipeline, by the folder from which they are drawn."""
    with Repo(str(ROOT)) as repo:
        calls = [shlex.split(stage.cmd) for stage in repo.stage.load_all(str(ROOT / PROFILES[profile]))]
    found: dict[str, list[tuple[Run, str]]] = {}
    for words in calls:
        options = dict(word.split("=", 1) for word in words if "=" in word)
        if (name := options.get("experiment", "")) in GLAM:
            own = [word for word in words if "=" in word and not word.startswith(("experiment=", "seed=", "hydra."))]
            folder = options["hydra.sweeper.results"].rpartition("/")[0]
            found.setdefault(folder, []).extend(of_experiment(name, *own))
    return found


def assert_comparable(found: list[tuple[Run, str]]) -> None:
    """A report of the runs would be drawn."""
    collection.check_settings([run for run, _ in found])
    for name in {run.name for run, _ in found}:
        assert len({print_ for run, print_ in found if run.name == name}) == 1, f"several runs would be called {name}"


def test_a_value_without_a_label_is_found():
    usual = of_experiment("glam_actions", "baseline=glam", "label=null")
    unlabelled = of_experiment("glam_actions", "baseline=glam", "label=null", "env.kwargs.num_actions=3")
    with pytest.raises(UserError, match=r"expected runs of one setting, found env\.kwargs\.num_actions=6"):
        assert_comparable(usual + unlabelled)
    with pytest.raises(AssertionError, match="several runs would be called go_to_local/glam-none/0"):
        assert_comparable(usual + of_experiment("glam_actions", "baseline=glam", "label=null", "evaluation.episodes=3"))


@pytest.mark.parametrize("name", GLAM)
def test_the_runs_of_an_experiment_are_of_one_setting_by_label(name):
    assert_comparable(of_experiment(name))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_runs_of_a_profile_are_of_one_setting_by_label(profile):
    folders = of_profile(profile)
    assert list(folders) == [f"results/{profile}/glam_runs", f"results/{profile}/glam_ablation_runs"]
    for found in folders.values():
        assert_comparable(found)


@pytest.mark.parametrize("profile", PROFILES)
def test_no_run_of_a_profile_is_trained_twice(profile):
    """Because a default is written out, or for the sake of an option that only evaluates."""
    prints: dict[str, set[str]] = {}
    for run, print_ in {print_: (run, print_) for found in of_profile(profile).values() for run, print_ in found}.values():
        prints.setdefault(str(sorted((run.setting | {"task": run.task, "steps": run.steps}).items())), set()).add(print_)
    assert [found for found in prints.values() if len(found) > 1] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_asks_no_encoder_decoder_model_for_a_forgetting_curve(profile):
    for run, _ in (each for found in of_profile(profile).values() for each in found):
        if "t5" in str(run.config.get("model")):
            assert run.config["retention"]["every"] == 0


@pytest.mark.parametrize("name", ABLATIONS)
def test_each_run_with_a_label_has_one_value(name):
    """Each value of each series has a run, and each labelled run is drawn."""
    ablation, runs = ABLATIONS[name], [run for run, _ in of_experiment(name)]
    every = [run for other in ABLATIONS for run, _ in of_experiment(other) if run.choices["model"] == "smollm2_135m"]
    drawn = set()
    for task in ablation.tasks:
        for series in [each for panel in ablation.panels.values() for each in panel]:
            for value in ablation.values:
                (found,) = ablation.of_value(runs, task, series, value)
                drawn.add(found.method)
                if name != "glam_sizes":  # whose usual model is another one
                    assert {run.source for run in ablation.of_value(every, task, series, value)} == {found.source}
    labelled = {run.method for run in runs if run.method.startswith(ABLATION)}
    assert labelled <= drawn
    assert all(label.startswith(f"{ABLATION}{name}/") for label in labelled)


def test_every_experiment_that_varies_an_option_is_an_ablation():
    varying = {name for name in GLAM if any(run.method.startswith(ABLATION) for run, _ in of_experiment(name))}
    assert varying == {*ABLATIONS, "glam_varied"}
    together = {print_ for name in set(ABLATIONS) - {"glam_sizes"} for _, print_ in of_experiment(name)}
    assert {print_ for _, print_ in of_experiment("glam_varied")} == together
    assert PAPER.content["glam"]["env"] == "twosome/BabyAIText-v0"


def test_the_smoke_profile_has_each_kind_of_run():
    choices = [run.choices for found in of_profile("smoke").values() for run, _ in found]
    assert {each["baseline"] for each in choices} == {"glam", "bc", "drrn", "ppo", "random", "saycan", "twosome"}
    assert {(each["baseline"], each.get("tuning")) for each in choices} >= {("glam", "full"), ("bc", "full"), ("twosome", "lora")}


def test_the_paper_profile_has_the_runs_that_glams_claims_are_about():
    usual, apart = ([(run.task, run.method) for run, _ in found] for found in of_profile("paper").values())
    claims = [claim for claim in CLAIMS if claim.source.startswith("GLAM")]
    assert [claim.claim for claim in claims] == ["8", "9", "10", "11", "17"]
    for check in [check for claim in claims for check in claim.checks]:
        there = apart if check.of_ablation else usual
        assert {(task, method) for task in check.tasks for method in check.methods} <= set(there)


def test_cloning_and_learning_differ_in_the_algorithm_alone():
    cloned, learned = (of_experiment("glam_cloning", f"baseline={name}")[0][0] for name in ("bc", "glam"))
    parts = ("tuning.", "norm.", "model.", "engine.", "policy_head.", "env.", "total_steps")
    names = [name for name in cloned.setting.keys() | learned.setting.keys() if name.startswith(parts)]
    assert {name: cloned.setting.get(name) for name in names} == {name: learned.setting.get(name) for name in names}
