"""For tests of what command lines compose: the suite's choices and experiments, and their composition."""

import copy
import dataclasses
from functools import cache
from pathlib import Path

import hydra
from checkout import ROOT
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.utils import get_object
from omegaconf import OmegaConf

from hydra_plugins.grid_sweeper import listed
from twosome import build
from twosome.config import CONFIGS, EvaluationConfig, RetentionConfig, RunConfig, typed
from twosome.language.loading import ModelConfig

FILES = sorted(path.relative_to(CONFIGS) for path in CONFIGS.glob("**/*.yaml") if path.parent.name != "bases")
FILES += [Path("experiment") / path.name for path in sorted((ROOT / "experiments").glob("*.yaml"))]
CHOICES = sorted({f"{path.parent}={path.stem}" for path in FILES if path.parent != Path()})
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))
PROFILES = {"smoke": "dvc.yaml", "laptop": "experiments/laptop/dvc.yaml", "paper": "experiments/paper/dvc.yaml"}
BROUGHT_BY = {
    "affordance": "baseline=saycan",
    **dict.fromkeys(("tuning", "value_head", "policy_head"), "baseline=twosome"),
}  # groups that only come with a choice in another one


def compose(*overrides: str, entry: str = "config"):
    """What a command line with these words composes."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return hydra.compose(entry, list(overrides), return_hydra_config=any(o.startswith("hydra") for o in overrides))


@cache
def _composed(*choices: str):
    return compose(*choices)


def compose_run(*words: str):
    """What `compose` gives for a run: the choices among the words are composed once, for all runs that differ in values only."""
    overrides = OverridesParser.create().parse_overrides(list(words))
    choices = [each for each in overrides if (CONFIGS / each.key_or_group).is_dir()]
    config = copy.deepcopy(_composed(*(each.input_line for each in choices)))
    for override in overrides:
        if override not in choices:
            assert override.type == OverrideType.CHANGE, override.input_line
            OmegaConf.update(config, override.key_or_group, override.value())
    return config


def targets(node) -> list[str]:
    """All that a configuration would call."""
    if isinstance(node, list):
        return [target for value in node for target in targets(value)]
    if not isinstance(node, dict):
        return []
    own = [node["_target_"]] if "_target_" in node else []
    return own + targets(list(node.values()))


def check(config) -> None:
    """Every setting is of its type, and all that is named can be found."""
    OmegaConf.resolve(config)
    assert all(map(get_object, targets(OmegaConf.to_container(config))))
    build.algorithm(config)
    typed(EvaluationConfig, config.evaluation, "evaluation")
    typed(RetentionConfig, config.retention, "retention")
    typed(RunConfig, OmegaConf.masked_copy(config, [field.name for field in dataclasses.fields(RunConfig)]), "")
    typed(ModelConfig, config.model, "model")
    assert callable(build.build(config.norm))


@cache
def composed_experiment(name: str):
    """What an experiment composes, Hydra's own options included."""
    return compose(f"experiment={name}", "hydra.verbose=false")


@cache
def grids(experiment: str) -> list:
    """The grids of an experiment; none if it is one run."""
    sweeper = composed_experiment(experiment).hydra.sweeper
    return listed(*map(OmegaConf.to_container, (sweeper.grids, sweeper.bases))) if "grids" in sweeper else []
