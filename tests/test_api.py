"""The public API: its names, its scripts in examples/, and that its functions do what the commands do."""

import ast
import io
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from checkout import ROOT, environment, run

import twosome

SMALL = ["model=tiny_random", "algorithm.num_envs=2", "algorithm.num_steps=8", "total_steps=16", "evaluation.episodes=2",
         "evaluation.gif=false", "retention.drift=false", "env.kwargs.max_primitive_steps=20"]  # fmt: skip
PROMPT, ACTIONS = "To eat something, you should first", ["open the fridge", "sleep"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> twosome.Run:
    """A run from Python."""
    return twosome.run(*SMALL, folder=tmp_path_factory.mktemp("api") / "a folder")


def test_the_public_names_are_there_for_programs_and_type_checkers():
    assert all(getattr(twosome, name).__name__ == name for name in twosome.__all__)
    assert len(twosome.__all__) == 13
    assert set(twosome.__all__) <= set(dir(twosome))
    body = ast.parse((ROOT / "src" / "twosome" / "__init__.py").read_text()).body
    (checked,) = (node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    assert sorted(alias.name for node in checked.body for alias in node.names) == twosome.__all__
    assert (ROOT / "src" / "twosome" / "py.typed").exists()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'twosome' has no attribute 'trian'"):
        twosome.trian  # noqa: B018


def test_importing_it_and_making_an_environment_needs_no_torch():
    program = "import sys, gymnasium, twosome.envs; gymnasium.make('twosome/Overcooked-v0'); print('torch' in sys.modules)"
    variables = environment() | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_an_environment_has_the_options_of_its_yaml():
    env = twosome.make_env("overcooked", task="lettuce_salad", kwargs={"map": "B", "max_primitive_steps": 5})
    assert isinstance(env, gymnasium.Env)
    assert env.spec is not None
    assert {"task": "lettuce_salad", "map": "B", "max_primitive_steps": 5, "obs_radius": 2}.items() <= env.spec.kwargs.items()
    obs, info = env.reset(seed=0)
    assert twosome.Decision.from_step(obs, info).text == (info["prompt"], tuple(info["action_prompts"]))


def test_a_run_writes_what_the_command_writes(trained, tmp_path):
    (outcome,) = run(tmp_path, [["src/run.py", *SMALL, "hydra.run.dir=run"]])
    assert outcome.code == 0, outcome.output
    for name in (
        "config.yaml",
        "overrides.yaml",
        "choices.json",
        "episodes.csv",
        "evaluation.json",
        "adapter/adapter_model.safetensors",
    ):
        assert (trained.folder / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    assert trained.records[: len(records(tmp_path / "run"))] == records(tmp_path / "run")


def records(folder: Path) -> list[dict]:
    return json.loads((folder / "evaluation.json").read_text())


def test_the_result_of_a_run_is_in_its_folder(trained):
    (own,) = (each for each in trained.records if (each["when"], each["mode"]) == ("after", "sampled"))
    assert trained.score == own["return_mean"]
    assert trained.folder.is_absolute()
    assert (trained.folder / "DONE").exists()
    assert twosome.run(*SMALL, folder=trained.folder).score == trained.score  # which trains nothing again


def test_an_evaluation_adds_its_records(trained):
    before = records(trained.folder)
    found = twosome.evaluate(trained.folder, "episodes=3", "env.task=lettuce_salad", "seed=5")
    assert found.folder == trained.folder
    assert found.records == records(trained.folder)
    sampled, greedy = found.records[len(before) :]
    assert (sampled["task"], sampled["episodes"], sampled["seed"]) == ("lettuce_salad", 3, 5)
    assert (found.score, greedy["mode"]) == (sampled["return_mean"], "greedy")


def test_a_loaded_agent_has_probabilities_of_prompts_and_decisions(trained):
    agent = twosome.load_agent(trained.folder, "env.task=onion_salad")
    env = agent.make_env()
    assert env.spec.kwargs["task"] == "onion_salad"
    assert not agent.policy.training
    decision = twosome.Decision.from_step(*env.reset(seed=0))
    for found, actions in (
        (agent.probabilities(PROMPT, ACTIONS), ACTIONS),
        (agent.probabilities(decision), decision.action_prompts),
        (agent.probabilities(decision.prompt, decision.action_prompts), decision.action_prompts),
    ):
        assert (found.shape, found.dtype) == ((len(actions),), np.float32)
        assert found.sum() == pytest.approx(1)
        assert (found > 0).all()
    np.testing.assert_array_equal(agent.probabilities(decision), found)
    assert len(set(found)) > 1


def test_the_agent_is_the_trained_one(trained):
    agent = twosome.load_agent(trained.folder)
    found = agent.probabilities(PROMPT, ACTIONS)
    with torch.no_grad():
        for name, weight in agent.policy.named_parameters():
            if "lora_B" in name:
                weight.zero_()
    assert (agent.probabilities(PROMPT, ACTIONS) != found).any()


@pytest.mark.parametrize(("decision", "actions", "said"), [
    (PROMPT, (), r"actions=\(\): expected a list of one"),
    (PROMPT, "sleep", "actions='sleep': expected a list of one"),
])  # fmt: skip
def test_bad_questions_are_reported(trained, decision, actions, said):
    with pytest.raises(twosome.UserError, match=said):
        twosome.load_agent(trained.folder).probabilities(decision, actions)


def test_an_agent_that_reads_observations_is_not_asked_about_words(tmp_path):
    run = twosome.run(*SMALL, "baseline=random", folder=tmp_path / "random")
    agent = twosome.load_agent(run.folder)
    with pytest.raises(twosome.UserError, match="expected a Decision; this agent reads symbolic observations"):
        agent.probabilities(PROMPT, ACTIONS)
    decision = twosome.Decision.from_step(*agent.make_env().reset(seed=0))
    np.testing.assert_allclose(agent.probabilities(decision), 1 / len(decision.action_ids), rtol=1e-6)


BAD = {
    "env value": (lambda: twosome.make_env(task="tomato soup"), "task=tomato soup: expected one of"),
    "run value": (lambda: twosome.run("seed=-1", folder="bad"), "seed=-1: expected an integer"),
    "experiment": (lambda: twosome.run("experiment=overcooked_curves"), "expected one run; a sweep is for the command line"),
    "no run": (lambda: twosome.evaluate("no/where"), "run=no/where: expected the folder of a finished run"),
    "no agent": (lambda: twosome.load_agent("."), "run=.: expected the folder of a finished run"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_user_error(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    call, said = BAD[name]
    with pytest.raises(twosome.UserError, match=said):
        call()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert capfd.readouterr() == ("", "")


def test_a_person_plays_beside_the_agent(trained, monkeypatch, capsys):
    script = ROOT / "examples" / "play.py"
    assert len(script.read_text().splitlines()) <= 60
    monkeypatch.setattr(sys, "argv", [str(script), str(trained.folder), "+env.kwargs.max_primitive_steps=3"])
    monkeypatch.setattr("sys.stdin", io.StringIO("walk\n0\n" + "1\n" * 3))
    runpy.run_path(str(script), run_name="__main__")
    output = capsys.readouterr().out
    assert output.count("expected a number from 1 to ") == 2
    decisions = [re.findall(r"^ *\d+ +([\d.]+)%  \w", part, re.MULTILINE) for part in output.split(" ...\n")[1:]]
    assert decisions
    assert all(sum(map(float, shares)) == pytest.approx(100, abs=1) for shares in decisions)
    assert output.count("reward ") == len(decisions)
    assert re.search(r"\nno success; sum of rewards [+-]\d\.\d{3}\n$", output)


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    script = ROOT / "examples" / "ask_agent.py"
    assert len(script.read_text().splitlines()) <= 30
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), *SMALL])
    runpy.run_path(str(script), run_name="__main__")
    (folder,) = tmp_path.glob("outputs/*/*")
    returns, probabilities, *actions = capsys.readouterr().out.partition(f"{folder}: a return of")[2].splitlines()
    assert returns.endswith("on lettuce salad")
    assert len(probabilities.strip("[]").split()) == 2
    assert len(actions) > 1
    assert {action.split()[0] for action in actions} <= {"pick", "take", "put", "chop", "serve", "walk"}


def test_a_search_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for trials in ("1", "2"):
        monkeypatch.setattr(sys, "argv", ["search.py", trials, *SMALL, "algorithm.num_minibatches=2"])
        runpy.run_path(str(ROOT / "examples" / "search.py"), run_name="__main__")
    assert sorted(path.parent.name for path in tmp_path.glob("outputs/search/*/DONE")) == ["0", "1"]
    assert "learning_rate" in capsys.readouterr().out
