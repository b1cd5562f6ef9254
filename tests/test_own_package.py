"""Code in a package of the user's own, outside of the checkout, named on the command line: CONTRIBUTING, "Code of your own"."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from checkout import ROOT, Finished, added_files, commands, environment, run
from test_interrupted import UPDATE, remedy, signalled

import twosome

SMALL = ["model=tiny_random", "algorithm.num_envs=2", "algorithm.num_steps=8", "total_steps=16", "evaluation.episodes=2",
         "evaluation.gif=false", "retention.drift=false"]  # fmt: skip
RUN, EVALUATE = (str(ROOT / "src" / f"{name}.py") for name in ("run", "evaluate"))
ID, NORM = "env.id=kitchen.corridor:kitchen/Corridor-v0", "norm._target_=kitchen.norms.characters"
ENDLESS = ["env.id=kitchen.endless:kitchen/Endless-v0", "~env.task", "~env.prompt", "~env.kwargs"]
PROMPTER = """
from twosome.envs.overcooked.prompts import PROMPTERS


def shouted(kitchen, state):
    prompt, actions = PROMPTERS["default"](kitchen, state)
    return prompt.upper(), actions
"""
NAMES = ("options", "files", "prompter")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with the package and the YAML files, both made of the manual's."""
    folder, files = tmp_path_factory.mktemp("home"), added_files()
    kitchen, conf = folder / "kitchen", folder / "my_conf"
    for place in (kitchen, conf / "env", conf / "norm"):
        place.mkdir(parents=True)
    code = files["src/twosome/envs/corridor.py"].replace("twosome/Corridor-v0", "kitchen/Corridor-v0")
    (kitchen / "corridor.py").write_text(code)
    endless = code.replace("at_door, self.steps == 20", "False, False").replace("kitchen/Corridor-v0", "kitchen/Endless-v0")
    (kitchen / "endless.py").write_text(endless)
    (kitchen / "norms.py").write_text(files["src/twosome/language/characters.py"])
    (kitchen / "prompts.py").write_text(PROMPTER)
    for name, old, new in (
        ("env/corridor.yaml", "twosome.envs.corridor:twosome/", "kitchen.corridor:kitchen/"),
        ("norm/characters.yaml", "twosome.language.characters.", "kitchen.norms."),
    ):
        assert old in files[f"conf/{name}"]
        (conf / name).write_text(files[f"conf/{name}"].replace(old, new))
    return folder


@pytest.fixture(scope="module")
def ended(home) -> dict[str, Finished]:
    """How the page's commands ended in that folder, and those that evaluate the first run again, or go on with it."""
    written = [shlex.split(command) for command in commands("CONTRIBUTING.md") if command.startswith("PYTHONPATH=. ")]
    words = {
        name: [RUN, *more, *SMALL, *(["baseline=random"] if name == "prompter" else []), f"hydra.run.dir={name}"]
        for name, (_path, _python, _script, *more) in zip(NAMES, written, strict=True)
    }
    words |= {
        "distrusted": [EVALUATE, "run=options", "episodes=1"],
        "trusted": [EVALUATE, "run=options", "episodes=1", "trust=true"],
        "resumed": [RUN, "resume=options"],
        "repeated": [RUN, "resume=options", ID, NORM],
        "endless": [RUN, *ENDLESS, *SMALL, "algorithm.num_steps=1000", "total_steps=22_000", "evaluation.episodes=0"],
        "limited": [RUN, *ENDLESS, *SMALL, "+env.kwargs.max_episode_steps=10_001", "baseline=random", "evaluation.episodes=1"],
        "stopped": signalled(UPDATE, 2, "SIGTERM", 1, [RUN, *written[1][3:], *SMALL, "total_steps=48", "hydra.run.dir=stopped"]),
    }
    path = os.pathsep.join([".", str(ROOT / "src")])
    return dict(zip(words, run(home, list(words.values()), PYTHONPATH=path), strict=True))


@pytest.mark.parametrize("name", [*NAMES, "trusted", "repeated"])
def test_it_works(ended, name):
    assert ended[name].code == 0, ended[name].output


@pytest.mark.parametrize("name", ["endless", "limited"])
def test_an_episode_of_ten_thousand_decisions_is_noted_once(ended, name):
    """In training and in evaluation; the note says how to limit it."""
    assert ended[name].code == 0, ended[name].output
    (line,) = [line for line in ended[name].output.splitlines() if "10,000 decisions" in line]
    assert line.startswith("note: env.id=kitchen/Endless-v0: ")
    assert "+env.kwargs.max_episode_steps=<decisions>" in line


def test_options_and_files_make_the_same_run(ended, home):
    one, other = (home / name / "adapter" / "adapter_model.safetensors" for name in ("options", "files"))
    assert one.read_bytes() == other.read_bytes()
    assert records(home / "options")[: len(records(home / "files"))] == records(home / "files")
    assert {record["env"] for record in records(home / "files")} == {ID.partition("=")[2]}
    assert {record["prompt"] for record in records(home / "prompter")} == {"kitchen.prompts:shouted"}


def records(folder: Path) -> list[dict]:
    return json.loads((folder / "evaluation.json").read_text())


def test_the_prompter_words_the_decisions(home, monkeypatch):
    monkeypatch.syspath_prepend(str(home))
    prompt = twosome.make_env(prompt="kitchen.prompts:shouted").reset(seed=0)[1]["prompt"]
    assert prompt.isupper()


@pytest.mark.parametrize("name", ["distrusted", "resumed"])
def test_a_run_folder_is_not_trusted_to_name_it(ended, name):
    assert ended[name].code == 2
    assert f"error: {NORM}: this is in the run folder's config.yaml" in ended[name].output
    assert ended[name].output.endswith("add trust=true\n")


def test_a_stopped_run_goes_on_by_the_line_that_it_prints(ended, home):
    """In a shell without the PYTHONPATH that was set for the first command."""
    assert not (home / "stopped" / "DONE").exists()
    line = remedy(ended["stopped"], "SIGTERM").removeprefix("go on with: ")
    assert "--config-dir my_conf" in line
    shell = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    outcome = subprocess.run(line, shell=True, cwd=home, env=shell, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert (home / "stopped" / "DONE").exists()


MISSING = [ID, NORM, "env.prompt=kitchen.prompts:shouted"]


def test_a_package_in_the_current_folder_that_python_does_not_find_is_reported(home):
    hint = "; kitchen is in the current folder: put PYTHONPATH=. before the command, or install it\n"
    for word, outcome in zip(MISSING, run(home, [[RUN, word] for word in MISSING], PYTHONPATH=str(ROOT / "src")), strict=True):
        assert outcome.code == 2
        assert outcome.output.startswith(f"error: {word}: ")
        assert outcome.output.endswith(hint)
        assert outcome.output.count("\n") == 1
