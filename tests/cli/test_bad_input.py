"""Bad input: one line that names the option, the value, what was expected and the remedy; exit code 2; nothing computed."""

import json
import shlex
import shutil
import subprocess
import sys
import time

import pytest
from bad_input import ALL_COMMANDS, COMMANDS
from checkout import ROOT, checkout, environment, run

FRAGILE = """# Tests' own environment, which goes wrong on demand.
id: fragile:tests/Fragile-v0
gamma: 0.99
kwargs: {fault: "", trigger: null, at: 3}
"""


def with_fragile(folder):
    """A copy of the suite that has the tests' own environment, too."""
    checkout(folder)
    (folder / "conf" / "env" / "fragile.yaml").write_text(FRAGILE)
    shutil.copy(ROOT / "tests" / "envs" / "fragile.py", folder / "src")
    return folder


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """How each of the wrong command lines ended, and where they were run."""
    folder = with_fragile(tmp_path_factory.mktemp("bad"))
    return dict(zip(COMMANDS, run(folder, [shlex.split(command) for command in COMMANDS]), strict=True)), folder


def assert_refused(command, code, output):
    assert code == 2, output
    assert len(output.splitlines()) == 1, output
    assert output.startswith("error: ")
    assert ALL_COMMANDS[command].replace("babyai_text, overcooked", "babyai_text, fragile, overcooked") in output


@pytest.mark.parametrize("command", COMMANDS)
def test_one_line_and_exit_code_2(answers, command):
    finished, _ = answers
    assert_refused(command, finished[command].code, finished[command].output)


def test_nothing_is_left_behind(answers):
    _, folder = answers
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == {
        *("src", "conf", "experiments", "analysis", "fragile")
    }
    assert not list((folder / "fragile").rglob("DONE"))


@pytest.mark.slow
@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_the_same_from_a_shell_within_ten_seconds(command, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "shell"
    if not folder.exists():
        with_fragile(folder)
    start = time.monotonic()
    words = [sys.executable, *shlex.split(command)]
    done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60)
    assert_refused(command, done.returncode, done.stdout + done.stderr)
    assert time.monotonic() - start < 10


HEAVY = ("torch", "transformers", "pytorch_lightning", "peft", "lm_eval", "matplotlib", "pandas")
TOLD_EARLY = {
    "src/run.py seed=-1": (),
    "src/run.py norm._target_=os.system": (),
    "src/run.py model=hf model.path=/no/where": (),
    "src/run.py resume=src": (),
    "src/run.py env.task=tomato_soup": ("gymnasium",),
    "src/evaluate.py run=src": (),
    "src/probe.py prompt=hello actions=[go] model=hf model.path=/no/where": (),
}
"""Bad input, and which libraries that take long to import may be imported before it is told."""
IMPORTED = f"""
import json, os, runpy, sys

for command in json.loads(sys.argv[1]):
    if os.fork() == 0:
        sys.argv, sys.path[0] = command, "src"
        try:
            runpy.run_path(command[0], run_name="__main__")
        finally:
            print(json.dumps([name for name in {(*HEAVY, "gymnasium")} if name in sys.modules]), flush=True)
    os.wait()
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Which of the libraries each command had imported when it ended."""
    commands = json.dumps([shlex.split(command) for command in TOLD_EARLY])
    words, folder = [sys.executable, "-c", IMPORTED, commands], checkout(tmp_path_factory.mktemp("early"))
    done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.stderr.count("error: ") == len(TOLD_EARLY), done.stderr
    return dict(zip(TOLD_EARLY, map(json.loads, done.stdout.splitlines()), strict=True))


def test_a_failing_job_does_not_stop_a_sweep_and_equal_jobs_are_one(tmp_path):
    words = ["model=tiny_random", "algorithm.num_envs=2", "algorithm.num_steps=8", "total_steps=16", "evaluation.episodes=0",
             "retention.drift=false", "seed=-1,0,0", "hydra.sweep.dir=sweep", "-m"]  # fmt: skip
    finished, all_bad = run(checkout(tmp_path), [["src/run.py", *words], ["src/run.py", "-m", "seed=-1,-2"]])
    assert finished.code == all_bad.code == 2
    assert "3 jobs, 2 of them different: equal ones are done once" in finished.output
    assert "seed=-1: expected an integer" in finished.output
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["1"]
    assert (tmp_path / "sweep/1/DONE").exists()
    assert all_bad.output.count("error: ") == 2
    assert not (tmp_path / "multirun").exists()
