"""Runs of the baselines that do not train: whole folders, evaluated again, and on bad input."""

import json
import shutil

import pytest
from checkout import added_files, copied, run

SMALL = ["model=tiny_random", "evaluation.episodes=3", "env.kwargs.max_primitive_steps=40"]
CHEAP = ["affordance.episodes=4", "affordance.epochs=1"]
NO_MODEL = ["model=hf", "model.path=/no/where"]  # where a model was loaded, that would be an error
EVERY_RUN = {"DONE", "choices.json", "config.yaml", "evaluation.json", "overrides.yaml", "provenance.json"}
RUNS = {
    "random": ["baseline=random", *SMALL, *NO_MODEL],
    "optimal": ["baseline=optimal", *SMALL, *NO_MODEL],
    "none": ["baseline=saycan", "affordance=none", *SMALL, "evaluation.gif=false"],
    "oracle": ["baseline=saycan", "affordance=oracle", *SMALL, "evaluation.gif=false"],
    "value": ["baseline=saycan", "affordance=value", *SMALL, *CHEAP, "evaluation.gif=false"],
}
CORRIDOR = ["env=corridor", "model=tiny_random", "evaluation.episodes=3"]
IN_THE_CORRIDOR = {
    "random": ["baseline=random"],
    "none": ["baseline=saycan", "affordance=none"],
    "value": ["baseline=saycan", *CHEAP],
}
REFUSED = {
    ("baseline=optimal", *CORRIDOR): "baseline=optimal: expected an environment that can be searched",
    (
        "baseline=saycan",
        "affordance=oracle",
        *CORRIDOR,
    ): "is None, expected a number from 0 to 1 for each of",
    ("baseline=saycan", "affordance.epochs=0"): "affordance.epochs=0: expected an integer from 1 on",
}
AGAIN = {"random": [], "optimal": ["env.task=lettuce_salad"], "oracle": ["env.task=lettuce_salad"], "value": []}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A checkout with the manual's corridor, and how every command ended in it."""
    folder = copied(tmp_path_factory.mktemp("baselines"))
    for path, content in added_files().items():
        (folder / path).write_text(content)
    commands = {name: ["src/run.py", *words, f"hydra.run.dir=runs/{name}"] for name, words in RUNS.items()}
    for name, words in IN_THE_CORRIDOR.items():
        commands["corridor", name] = ["src/run.py", *CORRIDOR, *words, f"hydra.run.dir=runs/corridor-{name}"]
    for words in REFUSED:
        commands[words] = ["src/run.py", *words, "hydra.run.dir=runs/refused"]
    for name, words in AGAIN.items():
        commands["again", name] = ["src/evaluate.py", f"run=runs/again-{name}", "episodes=3", *words]
    commands["other", "value"] = ["src/evaluate.py", "run=runs/value", "env.task=lettuce_salad"]
    commands["resumed", "value"] = ["src/run.py", "resume=runs/resumed"]
    first = [name for name in commands if name not in [("resumed", "value"), *(("again", name) for name in AGAIN)]]
    outcomes = dict(zip(first, run(folder, [commands[name] for name in first]), strict=True))
    for name in AGAIN:
        shutil.copytree(folder / "runs" / name, folder / "runs" / f"again-{name}")
    shutil.copytree(folder / "runs" / "value", folder / "runs" / "resumed")
    for name in ("DONE", "evaluation.json", "affordance"):  # as if it had been killed before
        path = folder / "runs" / "resumed" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    then = [name for name in commands if name not in first]
    outcomes |= dict(zip(then, run(folder, [commands[name] for name in then]), strict=True))
    return folder, outcomes


def records(folder, name):
    return json.loads((folder / "runs" / name / "evaluation.json").read_text())


@pytest.mark.parametrize("name", RUNS)
def test_a_run_without_training_leaves_its_files_and_no_others(ended, name):
    folder, outcomes = ended
    assert outcomes[name].code == 0, outcomes[name].output
    more = {"affordance"} if name == "value" else {"episode.gif"} if name in ("random", "optimal") else set()
    assert {path.name for path in (folder / "runs" / name).iterdir()} == EVERY_RUN | more
    found = records(folder, name)
    assert [(each["when"], each["mode"], each["episodes"]) for each in found] == [
        ("after", "sampled", 3), ("after", "greedy", 3)
    ]  # fmt: skip
    assert all(each["return_std"] >= 0 for each in found)
    provenance = json.loads((folder / "runs" / name / "provenance.json").read_text())
    assert ("model_checksum" in provenance) == (name not in ("random", "optimal"))
    assert ("affordance_quality" in provenance) == (name == "value")
    assert "finished" in provenance
    choices = json.loads((folder / "runs" / name / "choices.json").read_text())
    assert choices["affordance" if name in ("none", "oracle", "value") else "baseline"] == name


def test_the_bounds_are_what_they_are(ended):
    folder, _ = ended
    best, worst = records(folder, "optimal")[0], records(folder, "random")[0]
    assert best["return_mean"] == pytest.approx(best["optimum"], abs=1e-9)
    assert worst["return_mean"] < best["return_mean"]


@pytest.mark.parametrize("name", AGAIN)
def test_a_folder_is_evaluated_again(ended, name):
    folder, outcomes = ended
    assert outcomes["again", name].code == 0, outcomes["again", name].output
    before, after = records(folder, name), records(folder, f"again-{name}")
    assert after[:2] == before
    assert [each["task"] for each in after[2:]] == ["lettuce_salad"] * 2 * bool(AGAIN[name])
    if name == "optimal":
        assert after[2]["return_mean"] == pytest.approx(after[2]["optimum"], abs=1e-9)


def test_what_was_learned_in_one_kitchen_is_not_used_in_another(ended):
    _, outcomes = ended
    assert outcomes["other", "value"].code == 2
    assert "expected" in outcomes["other", "value"].output
    assert len(outcomes["other", "value"].output.splitlines()) == 1


def test_a_killed_run_is_finished_with_the_same_bytes(ended):
    folder, outcomes = ended
    assert outcomes["resumed", "value"].code == 0, outcomes["resumed", "value"].output
    for name in ("DONE", "evaluation.json", "affordance/model.safetensors"):
        assert (folder / "runs/resumed" / name).read_bytes() == (folder / "runs/value" / name).read_bytes()


@pytest.mark.parametrize("name", IN_THE_CORRIDOR)
def test_an_environment_needs_no_code_for_baselines(ended, name):
    folder, outcomes = ended
    assert outcomes["corridor", name].code == 0, outcomes["corridor", name].output
    assert {each["env"] for each in records(folder, f"corridor-{name}")} == {"twosome.envs.corridor:twosome/Corridor-v0"}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_cannot_be_is_one_line_and_nothing_is_written(ended, words):
    folder, outcomes = ended
    assert outcomes[words].code == 2, outcomes[words].output
    assert len(outcomes[words].output.splitlines()) == 1, outcomes[words].output
    assert REFUSED[words] in outcomes[words].output
    assert not (folder / "runs" / "refused").exists() or not list((folder / "runs" / "refused").iterdir())
