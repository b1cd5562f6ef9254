"""Every configuration file composes, and names only what exists. New files are found by themselves."""

import dataclasses
import shlex
from pathlib import Path

import hydra
import pytest
import yaml
from checkout import ROOT
from hydra.utils import get_object
from omegaconf import OmegaConf

from twosome import experiment
from twosome.cli import CONFIGS
from twosome.config import EvaluationConfig, RetentionConfig, RunConfig, check_targets, typed
from twosome.language.loading import ModelConfig
from twosome.ppo.config import PPOConfig

FILES = sorted(path.relative_to(CONFIGS) for path in CONFIGS.glob("**/*.yaml"))
FILES += [Path("experiment") / path.name for path in sorted((ROOT / "experiments").glob("*.yaml"))]
CHOICES = sorted({f"{path.parent}={path.stem}" for path in FILES if path.parent != Path()})
ENTRIES = [path.stem for path in FILES if path.parent == Path()]
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))
PRESETS = sorted((CONFIGS / "preset").glob("*.yaml"))


def compose(*overrides: str, entry: str = "config"):
    """What a command line with these words composes."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return hydra.compose(entry, list(overrides), return_hydra_config=any(o.startswith("hydra") for o in overrides))


def targets(node) -> list[str]:
    """All that a configuration would call."""
    if isinstance(node, list):
        return [target for value in node for target in targets(value)]
    if not isinstance(node, dict):
        return []
    own = [node["_target_"]] if "_target_" in node else []
    return own + targets(list(node.values()))


def test_the_groups_are_found():
    assert {choice.partition("=")[0] for choice in CHOICES} >= {
        *("env", "norm", "baseline", "model", "preset", "trainer", "logger", "experiment")
    }


@pytest.mark.parametrize("choice", CHOICES)
def test_choice_composes_to_checked_settings(choice):
    config = compose(choice)
    if choice.startswith("hydra"):
        assert all(map(get_object, targets(OmegaConf.to_container(config.hydra.launcher))))
        return
    OmegaConf.resolve(config)
    assert all(map(get_object, targets(OmegaConf.to_container(config))))
    check_targets(config)
    typed(PPOConfig, config.ppo, "ppo")
    typed(EvaluationConfig, config.evaluation, "evaluation")
    typed(RetentionConfig, config.retention, "retention")
    typed(RunConfig, OmegaConf.masked_copy(config, [field.name for field in dataclasses.fields(RunConfig)]), "")
    typed(ModelConfig, config.model, "model")
    assert callable(experiment.normalization(config.norm))


@pytest.mark.parametrize("entry", ENTRIES)
def test_entry_composes(entry):
    config = compose(entry=entry)
    assert all(map(get_object, targets(OmegaConf.to_container(config, resolve=False))))


@pytest.mark.parametrize("path", sorted((CONFIGS / "env").glob("*.yaml")), ids=lambda path: path.stem)
def test_environment_is_made(path):
    env = experiment.environment(compose(f"env={path.stem}").env)()
    _, info = env.reset(seed=0)
    assert len(info["action_ids"]) == len(info["action_prompts"]) > 0
    env.close()


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_name_every_setting(path):
    assert list(yaml.safe_load(path.read_text())["ppo"]) == [field.name for field in dataclasses.fields(PPOConfig)]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_begins_with_its_own_command(path):
    first = next(line for line in path.read_text().splitlines() if not line.startswith("# @package"))
    words = shlex.split(first.removeprefix("# "))
    assert words[:2] == ["python", "src/run.py"]
    assert f"experiment={path.stem}" in words
    overrides = [word for word in words[2:] if word != "-m"]
    if "-m" not in words:
        compose(*overrides)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_file_says_what_it_is_for(path):
    assert (CONFIGS / path).read_text().startswith("#")
