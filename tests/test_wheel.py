"""The wheel: what is in it, and its commands in a fresh environment, run from a folder outside of any checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from checkout import ROOT, Finished, copied, environment, run

SMALL = (
    "model=tiny_random algorithm.num_envs=2 algorithm.num_steps=8 total_steps=16 evaluation.episodes=2 evaluation.gif=false "
    "retention.drift=false"
)
COMMANDS = {
    "run": f"twosome-run {SMALL} hydra.run.dir=trained",
    "unfinished": "twosome-evaluate run=unfinished",
    "watch": "twosome-watch run=trained episodes=1",
    "where": "twosome-where",
}
WHERE = "from importlib import import_module as of; print(of('twosome').__file__, of('hydra_plugins.grid_sweeper').__file__)"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of a copy of this checkout, built without a network."""
    folder = copied(tmp_path_factory.mktemp("copy"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    pip(sys.executable, "wheel", str(folder), "--no-build-isolation", "--wheel-dir", str(folder / "wheels"))
    (built,) = (folder / "wheels").iterdir()
    return built


def pip(python: str, *words: str) -> None:
    """Run pip, which may use nothing but what is there."""
    command = [sys.executable, "-m", "pip", "--python", python, *words, "--no-deps", "--no-index"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A virtual environment with the wheel, which finds the suite's dependencies where ours are; its folder of commands."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    bin_folder = folder / "bin"
    pip(str(bin_folder / "python"), "install", str(wheel))
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    (bin_folder / "twosome-where").write_text(WHERE)
    return bin_folder


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """An empty folder, from which the commands are run."""
    return tmp_path_factory.mktemp("home")


def path(installed: Path) -> str:
    """The PATH of an activated environment."""
    return f"{installed}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def ended(installed, home) -> dict[str, Finished]:
    """How each command ended."""
    unfinished = home / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.yaml").touch()
    words = [[str(installed / command), *more] for command, *more in map(str.split, COMMANDS.values())]
    outcomes = run(home, words, python=str(installed / "python"), PATH=path(installed))
    return dict(zip(COMMANDS, outcomes, strict=True))


def test_it_holds_the_code_the_configuration_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    conf = {file for pattern in ("conf/*.yaml", "conf/**/*.yaml") for file in ROOT.glob(pattern)}
    expected = {f"twosome/{file.relative_to(ROOT)}" for file in conf}
    experiments = [file for pattern in ("*.yaml", "bases/*.yaml") for file in (ROOT / "experiments").glob(pattern)]
    expected |= {f"twosome/conf/experiment/{file.relative_to(ROOT / 'experiments')}" for file in experiments}
    expected |= {str(file.relative_to(ROOT / "src")) for file in (ROOT / "src").glob("*/**/*.py")}
    assert expected | {"twosome/py.typed"} <= names
    data = names - expected - {"twosome/py.typed"}
    folders = ("twosome/envs/babyai_text/", "twosome/envs/virtualhome/", "twosome/evaluation/retention/data/",
               "twosome/experiment/watch.html", "twosome/report/")  # fmt: skip
    assert {name for name in data if not name.startswith(folders)} == set()
    assert {"twosome/envs/virtualhome/scene.yaml", "twosome/evaluation/retention/data/questions.jsonl"} <= data
    assert "twosome/envs/babyai_text/wordings.yaml" in data
    assert "twosome/experiment/watch.html" in data


@pytest.mark.slow
def test_its_commands_run_its_own_code(ended, installed):
    assert ended["where"].code == 0, ended["where"].output
    assert all(Path(file).is_relative_to(installed.parent / "lib") for file in ended["where"].output.split())


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "watch"])
def test_its_commands_work(ended, command):
    assert ended[command].code == 0, ended[command].output


@pytest.mark.slow
def test_a_run_is_in_the_current_folder_and_nothing_else_is(ended, home):
    assert (home / "trained" / "DONE").exists()
    assert {file.name for file in home.iterdir() if not file.name.startswith(".output-")} == {
        *("trained", "unfinished", "watch.html")
    }


@pytest.mark.slow
def test_an_unfinished_run_is_refused(ended):
    assert ended["unfinished"].code == 2
    assert ended["unfinished"].output.endswith("finish it with: python src/run.py resume=unfinished\n")


@pytest.mark.slow
def test_help_and_composition_are_those_of_the_checkout(installed, home):
    def said(*words: str) -> str:
        done = subprocess.run(words, cwd=home, env=environment() | {"PATH": path(installed)}, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    demo = said("twosome-run", "experiment=demo", "--cfg", "job")
    assert demo == said(sys.executable, str(ROOT / "src" / "run.py"), "experiment=demo", "--cfg", "job")
    assert "env: babyai_text, frozen_lake, overcooked, sokoban, textworld, virtualhome\n" in said("twosome-run", "--help")
