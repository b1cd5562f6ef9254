"""The manual's pages on adding code, followed to the letter: an environment, a norm, an algorithm and a model."""

import csv
import json
import shlex
import shutil

import pytest
import torch
from checkout import ADDING, added_files, copied, python_commands, result, run
from safetensors.torch import load_file

from twosome.language import tiny
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.tuning import Lora

ADDED = ("env=corridor", "norm=characters", "algorithm=a2c", "model=my_model")
SMALL = "algorithm.num_envs=4 algorithm.num_steps=8 total_steps=128 evaluation.episodes=3 evaluation.gif=false retention.limit=2"
LEARNING = (
    "algorithm.num_envs=16 algorithm.num_steps=16 algorithm.minibatch=samples algorithm.num_minibatches=1 "
    "algorithm.update_epochs=4 algorithm.value_update_epochs=4 algorithm.learning_rate=1e-3 algorithm.anneal_steps=0 "
    "algorithm.desired_kl=null "
    "algorithm.norm_adv=true algorithm.count_exponent=0 algorithm.base_kl_coef=0 algorithm.ent_coef=0.2 tuning.layers=null "
    "total_steps=8_192 evaluation.episodes=100 retention.drift=false "
    "evaluation.gif=false"
)
OWN_SIZES = {"algorithm=a2c": ["algorithm.num_envs=4", "algorithm.num_steps=8"]}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The manual's three runs, one without its norm and one of baseline=ppo: by name, the folder and how the command ended."""
    folder = copied(tmp_path_factory.mktemp("extended"))
    files = added_files()
    assert sorted(files) == [
        "conf/algorithm/a2c.yaml",
        "conf/env/corridor.yaml",
        "conf/model/my_model.yaml",
        "conf/norm/characters.yaml",
        "src/twosome/algorithms/a2c.py",
        "src/twosome/envs/corridor.py",
        "src/twosome/language/characters.py",
    ]
    for path, content in files.items():
        assert not (folder / path).exists(), f"{path} is part of the suite: choose another name in the manual"
        (folder / path).write_text(content)
    save_model(folder / "models" / "my_model")
    written = [c for page in ADDING for c in python_commands(page) if any(name in c for name in ADDED) and "--help" not in c]
    assert len(written) == len(ADDED)
    words = []
    for name, command in zip(ADDED, written, strict=True):
        model = [] if name.startswith("model=") else ["model=tiny_random"]
        sizes = [*SMALL.split(), *OWN_SIZES.get(name, [])]
        words.append([*shlex.split(command)[1:], *sizes, *model, f"hydra.run.dir=runs/{folder_name(name)}"])
    words.append([*words[1][:-1], "norm=word", "hydra.run.dir=runs/control"])
    words.append([*words[0][:-1], "baseline=ppo", "hydra.run.dir=runs/symbolic"])
    words.append([*words[0][:-1], *LEARNING.split(), "hydra.run.dir=runs/learned"])
    words.append(["analysis/curves.py", "runs/a2c", "runs/control", "--out", "drawn", "--bootstrap-samples", "20"])
    outcomes = run(folder, words)
    names = (*ADDED, "control", "symbolic", "learned", "curves")
    return {name: (folder / "runs" / folder_name(name), end) for name, end in zip(names, outcomes, strict=True)}


def folder_name(added):
    """Hydra's grammar has no = in values."""
    return added.partition("=")[2] or added


def save_model(path):
    """A model in Hugging Face format, as anybody's may lie in a folder."""
    random = load_language_model(ModelConfig(source="tiny_random", device="cpu"), Lora())
    random.model.unload().save_pretrained(path)
    tiny.build_tokenizer("llama").save_pretrained(path)


@pytest.mark.parametrize("name", ADDED)
def test_what_the_manual_adds_trains(ended, name):
    folder, outcome = ended[name]
    assert outcome.code == 0, outcome.output
    assert (folder / "DONE").exists()
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert [int(row["env_steps"]) for row in rows] == [32, 64, 96, 128]
    assert all(float(row["policy_loss"]) != 0 for row in rows)
    adapter = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert all(torch.count_nonzero(weight) for key, weight in adapter.items() if "lora_B" in key)  # 0 before training
    records = json.loads((folder / "evaluation.json").read_text())
    assert {record["when"] for record in records} == {"before", "after"}


def test_the_added_environment_is_the_one_that_acted(ended):
    folder, _ = ended["env=corridor"]
    rows = list(csv.DictReader((folder / "episodes.csv").open()))
    assert rows
    assert all(int(row["decisions"]) <= 20 for row in rows)  # the corridor's own limit
    records = json.loads((folder / "evaluation.json").read_text())
    assert {record["env"] for record in records} == {"twosome.envs.corridor:twosome/Corridor-v0"}


def test_ppo_learns_the_corridor(ended):
    """A random model of 35,000 weights, from never reaching the door to always; seconds."""
    folder, outcome = ended["learned"]
    assert outcome.code == 0, outcome.output
    records = json.loads((folder / "evaluation.json").read_text())
    rates = {(record["when"], record["mode"]): record["success_rate"] for record in records}
    assert rates["before", "sampled"] < 0.1
    assert min(rates["after", "sampled"], rates["after", "greedy"]) >= 0.95


def test_every_baseline_acts_in_the_added_environment(ended):
    folder, outcome = ended["symbolic"]
    assert outcome.code == 0, outcome.output
    assert load_file(folder / "policy" / "model.safetensors")["actor.0.weight"].shape == (64, 1)  # the place


def test_the_added_norm_is_the_one_that_divided(ended):
    folder, _ = ended["norm=characters"]
    assert "_target_: twosome.language.characters.characters" in (folder / "config.yaml").read_text()
    control, _ = ended["control"]  # the same under norm=word
    entropies = [next(csv.DictReader((each / "metrics.csv").open()))["entropy"] for each in (folder, control)]
    assert entropies[0] != entropies[1]


def test_the_added_algorithm_is_the_one_that_learned(ended):
    folder, outcome = ended["algorithm=a2c"]
    assert "policy_loss" in outcome.output  # in the lines of progress, in place of PPO's approx_kl
    columns = next(csv.reader((folder / "metrics.csv").open()))
    assert "policy_loss" in columns
    assert not {"approx_kl", "clipfrac"} & set(columns)


def test_the_added_algorithm_has_a_curve_beside_ppos(ended):
    folder, outcome = ended["curves"]
    assert outcome.code == 0, outcome.output
    rows = list(csv.DictReader((folder.parents[1] / "drawn" / "curves.csv").open()))
    assert {row["method"] for row in rows} == {"twosome-word", "twosome-word-a2c"}


def test_a_run_with_the_added_algorithm_resumes_to_the_same_bytes(ended):
    folder, _ = ended["algorithm=a2c"]
    again = shutil.copytree(folder, folder.parent / "resumed")
    (again / "DONE").unlink()
    shutil.rmtree(again / "adapter")
    before, last = sorted(again.glob("checkpoints/*.ckpt"))
    last.unlink()  # so that its last update is repeated
    (outcome,) = run(folder.parents[1], [["src/run.py", f"resume={again}"]])
    assert outcome.code == 0, outcome.output
    assert "update 4/4" in outcome.output
    assert "update 3/4" not in outcome.output
    assert before.exists()
    assert result(again) == result(folder)


def test_the_added_model_is_the_one_that_learned(ended):
    folder, _ = ended["model=my_model"]
    assert json.loads((folder / "provenance.json").read_text())["model"] == "models/my_model"
    assert json.loads((folder / "adapter" / "adapter_config.json").read_text())["r"] == 4
