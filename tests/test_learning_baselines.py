"""Runs of the baselines that learn, in the README's corridor: each learns, resumes to the same bytes, and names its columns."""

import csv
import json
import shutil

import pytest
from checkout import added_files, checkout, result, run, tables

RUN = ["src/run.py", "env=corridor", "evaluation.episodes=50", "evaluation.gif=false", "retention.drift=false"]
GLAM = ["baseline=glam", "norm=word", "ppo.num_envs=16", "ppo.num_steps=16", "ppo.num_minibatches=4", "ppo.learning_rate=1e-3",
        "ppo.ent_coef=0.1", "total_steps=2_560"]  # fmt: skip
LEARNING = {
    "drrn": ["baseline=drrn", "algorithm.num_envs=16", "algorithm.num_steps=16", "algorithm.transitions_per_step=32",
             "algorithm.learning_rate=1e-3", "total_steps=6_144", "model=hf", "model.path=/no/where"],
    "glam": [*GLAM, "model=tiny_random"],
    "glam-t5": [*GLAM, "model=tiny_random", "model.architecture=t5", "engine=encoder_decoder"],
}  # fmt: skip
METHODS = {"drrn": "drrn", "glam": "glam-word", "glam-t5": "glam-word"}
REFUSED = {
    (
        "algorithm=q_learning",
        "model=tiny_random",
    ): "algorithm=q_learning: expected an agent with values of actions, LanguageAgent",
    ("baseline=drrn", "algorithm.replay_mb=0"): "algorithm.replay_mb=0: expected a number above 0",
    ("baseline=drrn", "algorithm.replay_mb=10000000"): "most of it for the replay buffer (10,000 GB)",
    ("baseline=drrn", "baseline.temperature=0"): "baseline.temperature=0.0: expected a number above 0",
    ("baseline=drrn", "baseline.depth=2"): "baseline.depth: no such option",
    ("baseline=glam", "preset=glm"): "did you mean preset=glam?",
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A checkout with the README's corridor, and how every command ended in it."""
    folder = checkout(tmp_path_factory.mktemp("learning"))
    for path, content in added_files("README.md").items():
        (folder / path).write_text(content)
    commands = {name: [*RUN, *words, f"hydra.run.dir=runs/{name}"] for name, words in LEARNING.items()}
    commands |= {words: [*RUN, *words, "hydra.run.dir=runs/refused"] for words in REFUSED}
    outcomes = dict(zip(commands, run(folder, list(commands.values())), strict=True))
    return folder, outcomes


def rates(folder):
    records = json.loads((folder / "evaluation.json").read_text())
    return {(record["when"], record["mode"]): record["success_rate"] for record in records}


@pytest.mark.parametrize("name", LEARNING)
def test_it_learns_the_corridor(ended, name):
    folder, outcomes = ended
    assert outcomes[name].code == 0, outcomes[name].output
    found = rates(folder / "runs" / name)
    assert found["before", "sampled"] < 0.6
    assert found["after", "sampled"] >= 0.9
    assert found["after", "greedy"] == 1
    assert json.loads((folder / "runs" / name / "provenance.json").read_text())["method"] == METHODS[name]


@pytest.mark.parametrize("name", LEARNING)
def test_it_resumes_to_the_same_bytes(ended, name):
    folder, _ = ended
    whole = folder / "runs" / name
    again = shutil.copytree(whole, folder / "runs" / f"{name}-resumed")
    (again / "DONE").unlink()
    *_, last = sorted(again.glob("checkpoints/*.ckpt"))
    last.unlink()  # so that its last update is repeated
    (outcome,) = run(folder, [["src/run.py", f"resume={again}"]])
    assert outcome.code == 0, outcome.output
    assert result(again) == result(whole)


@pytest.mark.parametrize("name", ["drrn"])
def test_the_readme_names_its_columns(ended, name):
    folder, _ = ended
    header = next(csv.reader((folder / "runs" / name / "metrics.csv").open()))
    common = set(tables("README.md", "### Columns of metrics.csv"))
    assert [column for column in header if column not in common] == tables("README.md", f"### Columns of `baseline={name}`")


def test_a_loaded_agent_is_the_trained_one(ended):
    folder, _ = ended
    (outcome,) = run(folder, [["src/evaluate.py", "run=runs/drrn", "episodes=50", "seed=1"]])
    assert outcome.code == 0, outcome.output
    *_, sampled, greedy = json.loads((folder / "runs" / "drrn" / "evaluation.json").read_text())
    assert sampled["success_rate"] >= 0.9
    assert greedy["success_rate"] == 1


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_cannot_be_is_one_line_and_nothing_is_written(ended, words):
    folder, outcomes = ended
    assert outcomes[words].code == 2, outcomes[words].output
    assert len(outcomes[words].output.splitlines()) == 1, outcomes[words].output
    assert REFUSED[words] in outcomes[words].output
    assert not (folder / "runs" / "refused").exists() or not list((folder / "runs" / "refused").iterdir())
