"""Configurations of earlier versions in today's terms, and the names that their runs have in figures."""

import json

import pandas as pd
import pytest
from checkout import ROOT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from twosome.config import CONFIGS
from twosome.former import upgraded
from twosome.identity import identity, task_of
from twosome.report.runs import ABLATION

PUBLISHED = sorted((ROOT / "results" / "published").rglob("runs.csv"))


def composed(*words):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return OmegaConf.to_container(compose("config", list(words)), resolve=True)


@pytest.mark.parametrize("words", ["", "baseline=saycan", "baseline=ppo", "baseline=random", "baseline=optimal"])
def test_a_configuration_of_this_version_stays_as_it_is(words):
    config = composed(*words.split())
    assert upgraded(config) == config


def test_what_has_moved_is_found_where_it_is_now():
    config = composed("tuning.rank=4")
    former = {
        name: value for name, value in config.items() if name not in ("engine", "tuning", "value_head", "algorithm", "label")
    }
    former["model"] = config["model"] | {"lora": {name: value for name, value in config["tuning"].items() if name != "_target_"}}
    former["baseline"] = config["baseline"] | {
        "critic": {name: value for name, value in config["value_head"].items() if name != "_target_"},
        "engine": {name: value for name, value in config["engine"].items() if name != "_target_"},
    }
    before = json.dumps(former)
    assert upgraded(former) == config
    assert json.dumps(former) == before


@pytest.mark.parametrize("former", ["bounds.random", "bounds.optimal"])
def test_former_targets_are_what_files_of_conf_name_now(former):
    name = former.partition(".")[2]
    config = composed(f"baseline={name}") | {"baseline": {"_target_": f"twosome.policies.{former}"}}
    assert upgraded(config) == composed(f"baseline={name}")


@pytest.mark.parametrize(
    "odd", [None, 3, "text", [], ["a"], {}, {"_target_": []}, {"_target_": {}}, {"critic": {"_target_": "os.system"}}]
)
@pytest.mark.parametrize("group", ["baseline", "affordance", "model", "ppo", "engine"])
def test_whatever_else_is_in_a_folder_is_left_for_the_checks(group, odd):
    config = composed() | {group: odd}
    assert upgraded(config)[group] == odd


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.parent.name)
def test_published_runs_have_the_names_that_they_were_published_with(file):
    for run in pd.read_csv(file, keep_default_na=False).to_dict("records"):
        config, choices = json.loads(run["config"]), json.loads(run["choices"])
        named = identity(upgraded(config), choices, bool(run["model"]))
        assert named["task"] == run["task"]
        if run["method"].startswith(ABLATION):  # a label that the run has, or that its copy was given
            assert named["label"] in (run["method"], named["method"])
        else:
            assert (named["method"], named["label"]) == (run["method"], run["method"])


def test_a_label_is_the_one_that_was_given():
    config = composed("label=rank 4")
    assert identity(config, {"env": "overcooked", "baseline": "twosome", "norm": "word"}, True) == {
        "task": "tomato_salad",
        "method": "twosome-word",
        "label": "rank 4",
    }


def test_a_task_without_a_name_has_its_environments():
    assert task_of({"id": "twosome/Corridor-v0"}) == "twosome/Corridor-v0"
    assert task_of({"id": "twosome/Corridor-v0"}, "corridor") == "corridor"
    assert task_of({"id": "x", "task": "tomato_salad", "prompt": "no_goal"}) == "tomato_salad (no_goal)"
