"""The runs of GLAM's experiments, as composed, can be drawn together; nothing is trained here.

One that varies an option without a label of its own would be found only by the report, after all trainings.
"""

import math
from functools import cache

import pandas as pd
import pytest
from checkout import ROOT
from composing import EXPERIMENTS, compose, grids
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from hydra_plugins.grid_sweeper import combinations
from twosome.experiment.resume import fingerprint
from twosome.identity import identity
from twosome.report import ablations
from twosome.report.runs import ABLATION, Run, by_task, check_setting

GLAM = [path.stem for path in EXPERIMENTS if path.stem.startswith("glam") and "run.py -m" in path.read_text()]
ABLATIONS = {each.name: each for each in ablations.read(ROOT / "analysis" / "ablations.yaml") if each.name in GLAM}


@cache
def planned(*words: str) -> tuple[Run, str]:
    """The run that the words compose, as it will be read once it has been trained, and its fingerprint."""
    composed = compose(*words, "hydra.verbose=false")
    config = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
    plain = OmegaConf.to_container(config, resolve=True)
    learns = plain["baseline"]["_target_"] != "twosome.agents.bounds.random" and "affordance" not in plain["baseline"]
    model = {"model": "a model"} if "tuning" in plain or "affordance" in plain["baseline"] else {}
    choices = dict(composed.hydra.runtime.choices)
    named = identity(plain, choices, bool(model))
    run = Run(
        ROOT / "runs" / fingerprint(config), named["task"], named["label"], plain["seed"], model.get("model", ""), plain, choices,
        named | model, finished=True, steps=plain["total_steps"] if learns else 0, optimizer_steps=math.nan, seconds=0, covered=0,
        bins=pd.DataFrame(), evaluations=pd.DataFrame(),
    )  # fmt: skip
    return run, fingerprint(config)


def of_experiment(name: str, *words: str) -> list[tuple[Run, str]]:
    """The runs of an experiment with the first of the seeds."""
    given = OverridesParser.create().parse_overrides([*words, "seed=0"])
    return [planned(*run) for run in combinations(grids(name), given)]


def assert_comparable(found: list[tuple[Run, str]]) -> None:
    """A report of the runs would be drawn."""
    for methods in by_task([run for run, _ in found]).values():
        for method, runs in methods.items():
            check_setting(method, runs)
    for name in {run.name for run, _ in found}:
        assert len({print_ for run, print_ in found if run.name == name}) == 1, f"several runs would be called {name}"


@pytest.mark.parametrize("name", GLAM)
def test_the_runs_of_an_experiment_are_of_one_setting_by_label(name):
    assert_comparable(of_experiment(name))


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
