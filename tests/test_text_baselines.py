"""Every baseline and norm in BabyAI-Text: a run leaves its records, or one line says what the baseline expects."""

import json

import pytest
from checkout import ROOT, run

ROOM = ["env=babyai_text", "env.task=go_to_local", "env.kwargs.room_size=5", "env.kwargs.num_objects=1", "evaluation.episodes=1",
        "evaluation.gif=false", "model=tiny_random"]  # fmt: skip
TRAINED = ["total_steps=16", "retention.drift=false"]
PPO = [*TRAINED, "algorithm.num_envs=2", "algorithm.num_steps=8", "algorithm.num_minibatches=2", "algorithm.update_epochs=1",
       "algorithm.value_update_epochs=1"]  # fmt: skip
OWN = [*TRAINED, "algorithm.num_envs=2", "algorithm.num_steps=8"]
OPTIONS = {
    "bc": [*OWN, "algorithm.num_minibatches=2", "algorithm.demonstrator=bot"],
    "drrn": [*OWN, "algorithm.transitions_per_step=8"],
    "grpo": [*OWN, "algorithm.group_size=2"],
    "optimal": [],
    "random": [],
    "reinforce": OWN,
    "saycan": ["affordance=value", "affordance.episodes=2", "affordance.epochs=1"],
}
"""Of a small run; of baselines that are not here: PPO."""


def names(group):
    return [path.stem for path in sorted((ROOT / "conf" / group).glob("*.yaml"))]


RUNS = {name: [f"baseline={name}", *OPTIONS.get(name, PPO)] for name in names("baseline")}
RUNS |= {f"twosome-{norm}": [f"norm={norm}", *PPO] for norm in names("norm") if norm != "word"}  # which is the usual one
RUNS |= {f"saycan-{name}": ["baseline=saycan", f"affordance={name}"] for name in names("affordance") if name != "value"}
REFUSED = {"optimal": "expected an environment that can be searched for the best play, which this one cannot"}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A checkout, and how each run ended in it."""
    folder = tmp_path_factory.mktemp("text")
    commands = [["src/run.py", *ROOM, *words, f"hydra.run.dir=runs/{name}"] for name, words in RUNS.items()]
    return folder, dict(zip(RUNS, run(folder, commands), strict=True))


@pytest.mark.parametrize("name", [name for name in RUNS if name not in REFUSED])
def test_it_plays_in_words(ended, name):
    folder, outcomes = ended
    assert outcomes[name].code == 0, outcomes[name].output
    found = json.loads((folder / "runs" / name / "evaluation.json").read_text())
    assert [(each["mode"], each["task"], each["episodes"]) for each in found if each["when"] == "after"] == [
        ("sampled", "go_to_local", 1), ("greedy", "go_to_local", 1)
    ]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_one_line_says_why_it_does_not(ended, name):
    _, outcomes = ended
    assert outcomes[name].code == 2
    assert REFUSED[name] in outcomes[name].output
    assert len(outcomes[name].output.splitlines()) == 1
