"""Code in a package of the user's own, outside of the checkout, named on the command line: CONTRIBUTING, "Code of your own"."""

import json
import shlex
from pathlib import Path

import pytest
from checkout import Finished, added_files, commands, run

import twosome

SMALL = ["model=tiny_random", "algorithm.num_envs=2", "algorithm.num_steps=8", "total_steps=16", "evaluation.episodes=2",
         "evaluation.gif=false", "retention.drift=false"]  # fmt: skip
RUN, EVALUATE = "src/run.py", "src/evaluate.py"
ID, NORM = "env.id=kitchen.corridor:kitchen/Corridor-v0", "norm._target_=kitchen.norms.characters"
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
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(home))
        return dict(zip(words, run(home, list(words.values())), strict=True))


@pytest.mark.parametrize("name", [*NAMES, "trusted"])
def test_it_works(ended, name):
    assert ended[name].code == 0, ended[name].output


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
    assert f"error: {ID}: this is in the run folder's config.yaml" in ended[name].output
    assert ended[name].output.endswith("add trust=true\n")
