"""--help explains every option that there is, from where it is declared. Groups, choices and options are found by themselves."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from checkout import ROOT, environment
from composing import BROUGHT_BY, CHOICES
from hydra._internal.utils import get_args_parser

from twosome.cli import benchmark, evaluate, export, probe, run, watch
from twosome.cli.help import Composition, compose, group_rows, help_text, option_rows
from twosome.cli.meanings import Declared, declared
from twosome.config import CONFIGS

SCRIPTS = {
    "config": run,
    "evaluate": evaluate,
    "probe": probe,
    "benchmark": benchmark,
    "export": export,
    "watch": watch,
}
FILES = [path.relative_to(CONFIGS) for path in sorted(CONFIGS.glob("**/*.yaml"))]
LAUNCHERS = ["basic", "submitit_local", "submitit_slurm"]  # Hydra's and its plugin's, which the group's own line explains


@cache
def composition(*words: str, entry: str = "config") -> Composition:
    """What the command composes beside these words."""
    return compose(entry, get_args_parser().parse_args(words))


def help_of(*words: str, entry: str = "config", width: int = 80) -> str:
    """What --help prints beside these words."""
    return help_text(composition(*words, entry=entry), str(SCRIPTS[entry].__doc__), width)


def options(*words: str, entry: str = "config") -> dict[str, str]:
    """The options that --help lists, with their values: from <option>=<value> to the meaning."""
    return {left.strip(): meaning for left, meaning in option_rows(composition(*words, entry=entry)) if left}


def unexplained(declaration: Declared) -> list[str]:
    """The options of a file that have no meaning, and are not entries of a table that has one."""
    explained = {name for name, meaning in declaration.options.items() if meaning}
    tables = {name for name in explained if not any(other.startswith(f"{name}.") for other in explained)}
    return [
        name
        for name in declaration.options
        if not any(other.startswith(f"{name}.") for other in declaration.options)  # a mapping of options
        and name not in explained
        and not any(name.startswith(f"{table}.") for table in tables)
        and not name.rpartition(".")[2].startswith("_")
    ]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_explains_its_options_its_groups_and_itself(path):
    declaration = declared(CONFIGS / path)
    assert unexplained(declaration) == []
    assert all(declaration.groups.values()), declaration.groups
    assert declaration.summary


@pytest.mark.parametrize(
    ("file", "before", "after", "found"),
    [
        ("config.yaml", "total_steps:", "new: 1\ntotal_steps:", "new"),
        ("config.yaml", "  every: 0 #", "  new: 1\n  every: 0 #", "retention.new"),
        ("preset/wide.yaml", "  adam_eps:", "  new: 1\n  adam_eps:", "ppo.new"),
        ("tuning/lora.yaml", "rank:", "new: [1, 2]\nrank:", "new"),
    ],
)
def test_a_new_option_without_a_comment_is_found(file, before, after, found, tmp_path):
    text = (CONFIGS / file).read_text()
    assert before in text
    (tmp_path / "file.yaml").write_text(text.replace(before, after))
    assert unexplained(declared(tmp_path / "file.yaml")) == [found]


def test_every_choice_is_offered():
    offered = {f"{group}={name}" for group, names in composition().choices.items() for name in names}
    assert {choice for choice in CHOICES if not choice.startswith("hydra/sweeper=")} <= offered  # experiments choose the sweeper


def mixes() -> list[list[str]]:
    """Command lines with every choice of every group in one of them, several in each."""
    groups: dict[str, list[str]] = {}
    for choice in CHOICES:
        groups.setdefault(choice.partition("=")[0], []).append(choice)
    common = [choices for group, choices in groups.items() if group not in BROUGHT_BY]
    mixed = [[choices[n % len(choices)] for choices in common] for n in range(max(map(len, common)))]
    return mixed + [[BROUGHT_BY[group], choice] for group in BROUGHT_BY for choice in groups[group]]


@pytest.mark.parametrize("words", mixes(), ids=" ".join)
def test_every_option_of_a_composition_is_explained(words):
    assert [option for option, meaning in options(*words).items() if not meaning] == []


@pytest.mark.parametrize("entry", SCRIPTS)
def test_every_group_choice_and_option_of_a_command_is_explained(entry):
    assert [option for option, meaning in options(entry=entry).items() if not meaning] == []
    groups = group_rows(composition(entry=entry))
    assert [left.strip() for left, meaning in groups if left and not meaning] == LAUNCHERS


def test_only_the_groups_of_the_command_and_no_folders_are_offered():
    offered = {entry: list(composition(entry=entry).choices) for entry in SCRIPTS}
    groups = "env norm preset algorithm baseline engine tuning value_head policy_head affordance model trainer logger experiment"
    assert offered["config"] == [*groups.split(), "hydra/launcher"]
    assert offered["evaluate"] == ["hydra/launcher"]
    assert offered["probe"] == ["norm", "model", "hydra/launcher"]
    experiments = {path.stem for path in (ROOT / "experiments").glob("*.yaml")}
    assert set(composition().choices["experiment"]) == experiments


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("entry", SCRIPTS)
def test_lines_fit_and_meanings_stand_below_each_other(entry, width):
    lines = [line for line in help_of(entry=entry, width=width).splitlines() if not line.startswith("  python ")]
    assert all(len(line) <= width or (width < 80 and " " not in line.strip()) for line in lines)  # a long word is not broken
    assert {len(line) - len(line.lstrip()) for line in lines} <= {0, 2, 4, 6, min(32, width * 2 // 5)}
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("entry", SCRIPTS)
def test_it_begins_with_what_the_command_does_and_three_examples_that_compose(entry):
    does, examples, *_ = help_of(entry=entry).split("\n\n")
    title, *lines = examples.splitlines()
    assert does.endswith(".")
    assert (title, len(lines)) == ("Examples:", 3)
    for line in lines:
        python, script, *words = shlex.split(line)
        assert (python, f"twosome.cli.{Path(script).stem}", script[:4]) == ("python", SCRIPTS[entry].__name__, "src/")
        composition(*map(getattr(SCRIPTS[entry], "reword", str), words), entry=entry)


def test_what_is_listed_is_what_the_words_compose():
    plain, other = options(), options("env=virtualhome", "baseline=ppo", "seed=3", "evaluation.gif=false")
    assert "env.kwargs.obs_radius=2" in plain
    assert not any(option.startswith("env.kwargs.obs_radius") for option in other)
    assert {"env.task=food_preparation", "seed=3", "evaluation.gif=false", "ppo.num_steps=128", "ppo.gamma=0.95"} <= set(other)
    assert other["ppo.gamma=0.95"].endswith("[from env.gamma]")
    assert not options("ppo.gamma=0.5")["ppo.gamma=0.5"].endswith("]")
    assert "affordance.epochs=20" in options("baseline=saycan")
    assert "  preset=ppo" in help_of("baseline=ppo")
    assert options("+mine=[a,{b: null}]")["mine=[a,{b: null}]"] == ""
    assert "env={task: cheese}" in options("++env.task=cheese", entry="evaluate")


def test_a_sweep_has_help_with_m_only():
    assert "  norm=word" in help_of("-m", "norm=word,token", "seed=0,1")


def test_the_meanings_are_those_of_the_comments_and_of_the_docstrings():
    found = options()
    assert found["checkpoint_every=1"] == "updates between two checkpoints"
    assert found["retention.*"] == "the language model with its adapter on and off, on bundled English texts and questions"
    assert found["env.gamma=0.99"].startswith("Discount per primitive step: inside a macro-action")
    assert found["ppo.vf_coef=0.5"].startswith("Weight of the value loss; 0 leaves the critic as it is. (The critic has")


def test_an_environment_of_another_folder_is_explained(tmp_path):
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "mine.yaml").write_text("# My own. It is small.\nid: my:Env-v0 # its name\ngamma: 0.9 # per step\n")
    text = help_of("--config-dir", str(tmp_path), "env=mine")
    assert re.search(r"^    mine +My own\.$", text, re.MULTILINE)
    assert re.search(r"^  env\.id=my:Env-v0 +its name$", text, re.MULTILINE)


def command(*words: str) -> subprocess.CompletedProcess:
    """Run src/run.py, which says at its end on stderr whether torch was imported."""
    program = "import atexit, runpy, sys; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr)); "
    program += "sys.argv = sys.argv[1:]; sys.path[0] = 'src'; runpy.run_path(sys.argv[0], run_name='__main__')"
    arguments = [sys.executable, "-c", program, "src/run.py", *words]
    return subprocess.run(arguments, cwd=ROOT, env=environment() | {"COLUMNS": "80"}, capture_output=True, text=True, timeout=60)


def test_the_command_prints_it_without_importing_torch():
    done = command("env=virtualhome", "--help")
    assert (done.returncode, done.stderr) == (0, "False\n")
    assert without_times(done.stdout) == without_times(help_of("env=virtualhome") + "\n")


def without_times(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d", "", text)


def test_wrong_words_are_one_line_with_help_too():
    done = command("env=virtualhom", "--help")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "error: env=virtualhom: expected one of babyai_text, overcooked, virtualhome; did you mean env=virtualhome?\nFalse\n"
    )


def test_hydras_own_help_stays():
    done = command("--hydra-help")
    assert done.returncode == 0
    assert "--hydra-help : Hydra's help" in done.stdout


def test_a_reader_that_stops_early_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "src/run.py", "-h"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0
