"""README, CONTRIBUTING, CHANGELOG and docs/ are true: their commands run, their tables name what is there.

Commands run on a tiny random model and a few steps; those that take minutes even so are marked slow.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmark_tools import write_benchmarks
from checkout import FOLDER, PAGES, ROOT, Finished, commands, environment, python_commands, run, tables

ADDED = ("env=corridor", "norm=characters", "algorithm=a2c", "model=my_model")  # test_extending runs these
EXAMPLE = "outputs/2026-01-31/12-00-00"  # the run folder that the pages speak of
SMALL = {
    "src/run.py": "model=tiny_random algorithm.num_envs=2 algorithm.num_steps=16 total_steps=32 algorithm.update_epochs=1 "
    "algorithm.value_update_epochs=1 evaluation.episodes=2 retention.limit=2 retention.every=1 "
    "env.kwargs.max_primitive_steps=10 evaluation.gif=false",
    "src/evaluate.py": "episodes=2",
    "src/probe.py": "model=tiny_random",
    "src/watch.py": "episodes=1",
}
EVERY = [command for page in PAGES for command in commands(page)]
SCRIPTS = [c for page in PAGES for c in python_commands(page) if not any(name in c for name in ADDED)]
SLOW = [command for command in SCRIPTS if "profiler=pytorch" in command]
QUICK = [command for command in SCRIPTS if command not in SLOW]
PIPELINES = [command for command in EVERY if command.startswith("dvc repro")]  # test_pipeline runs these
TARGETS = sorted({command.split()[1] for command in EVERY if command.startswith("make ")})


def small(command: str) -> list[str]:
    """The command's words with sizes that a test can afford; a resumed run has its own."""
    words = shlex.split(command)[1:]
    if f"resume={EXAMPLE}" in words:
        return words
    sizes = SMALL.get(words[0], "").split()
    if "env=babyai_text" in words:  # its episodes' length is its task's
        sizes = [size for size in sizes if not size.startswith("env.kwargs.")] + ["env.kwargs.past_observations=1"]
    if any("flan_t5" in word for word in words):  # whose retention is not measured
        sizes += ["model.architecture=t5", "retention.every=0"]
    if "baseline=bc" in words:
        sizes = [size for size in sizes if "value_update_epochs" not in size]
        sizes += ["algorithm.num_envs=2", "algorithm.num_steps=8", "algorithm.num_minibatches=2"]
    if "baseline=glam" in words:
        sizes += ["algorithm.num_minibatches=2"]
    return words + sizes


def apart(words: list[str], number: int) -> list[str]:
    """The words with a folder of the run's own: two short runs may begin in the same second."""
    single = words[0] == "src/run.py" and not any(word == "-m" or word.startswith(("resume=", "hydra.")) for word in words)
    return [*words, f"hydra.run.dir=outputs/{number}"] if single else words


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkout with one finished run, where the pages say that one is, and one of baseline=ppo."""
    folder = tmp_path_factory.mktemp("readme")
    write_benchmarks(folder / "benchmarks")
    small = ["src/run.py", *SMALL["src/run.py"].split()]
    for outcome in run(folder, [[*small, f"hydra.run.dir={EXAMPLE}"], [*small, "baseline=ppo", "hydra.run.dir=symbolic"]]):
        assert outcome.code == 0, outcome.output
    return folder


@pytest.fixture(scope="module")
def ended(folder) -> dict[str, Finished]:
    """How each quick command ended."""
    run_folder = folder / EXAMPLE
    documented = folder / "documented"
    shutil.copytree(run_folder, documented)  # as training left it, for the tests of the tables
    (run_folder / "DONE").unlink()  # so that there is something to resume
    return dict(zip(QUICK, run(folder, [apart(small(command), n) for n, command in enumerate(QUICK)]), strict=True))


@pytest.mark.parametrize("command", QUICK)
def test_command_runs(ended, command):
    assert ended[command].code == 0, ended[command].output


@pytest.mark.slow
@pytest.mark.parametrize("command", SLOW)
def test_long_command_runs(folder, command):
    (outcome,) = run(folder, [small(command)])
    assert outcome.code == 0, outcome.output


def test_resumed_run_is_finished_again(folder, ended):
    assert (folder / EXAMPLE / "DONE").exists()


def test_sweep_leaves_a_finished_run_per_job(folder, ended):
    (sweep,) = (folder / "multirun").glob("*/*")
    assert sorted(path.parent.name for path in sweep.glob("*/DONE")) == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.slow
def test_profile_by_cprofile_runs(folder):
    variables = environment() | {"PYTHONPATH": str(folder / "src")}
    chosen = [command for command in EVERY if re.match("python -[mc] ", command)]
    assert len(chosen) == 2
    for command in chosen:
        words = [sys.executable, *shlex.split(command)[1:]]
        words += SMALL["src/run.py"].split() if "src/run.py" in words else []
        done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert "cumulative" in done.stdout


def test_every_other_command_is_known():
    kinds = ("python src/", "python analysis/", "python benchmarks/", "python -m cProfile ", "python -c ", "make ")
    kinds += ("PYTHONPATH=. python ", "PYTHONPATH=examples/own_environment ")  # test_own_package runs these
    kinds += (".venv/bin/pytest ", ".venv/bin/pre-commit ", "source .venv/bin/activate")
    assert [command for command in EVERY if not command.startswith(kinds)] == PIPELINES


@pytest.mark.parametrize("target", TARGETS)
def test_make_target_runs_its_command(target):
    does = {
        "demo": "src/run.py experiment=demo",
        "try": "src/watch.py run=results/published/",
        "reproduce": "dvc repro",
        "test": "-m pytest",
        "test-slow": "-m pytest -m slow",
        "test-slurm": "-m pytest -m slow tests/slurm",
        "test-gpu": "tests/gpu/check",
        "lint": "ruff check src tests",
        "install": "-r requirements.lock",
        "docs": "mkdocs build --strict",
    }
    command = ["make", "-n", "-B", target]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert does[target] in done.stdout, done.stderr


@pytest.mark.parametrize("table", ["metrics.csv", "episodes.csv", "retention.csv"])
def test_glossary_names_the_columns(folder, ended, table):
    header = (folder / "documented" / table).read_text().splitlines()[0].split(",")
    assert tables(FOLDER, f"## Columns of {table}") == header


def test_glossary_names_the_entries_of_records(folder, ended):
    (row,) = re.findall(r"^\| `evaluation.json` \| (.*) \|$", (ROOT / FOLDER).read_text(), re.MULTILINE)
    own, all_of_them = (json.loads((folder / name / "evaluation.json").read_text()) for name in ("documented", EXAMPLE))
    assert len(all_of_them) > len(own)
    added = next(record for record in all_of_them if "evaluated" in record)
    assert {"evaluated", *added["evaluated"], *own[0]} == {*added, *added["evaluated"]}
    assert {*added, *added["evaluated"]} <= set(re.findall(r"`([a-z_]+)`", row))


def test_without_a_language_model_its_columns_are_absent(folder):
    header = (folder / "symbolic" / "metrics.csv").read_text().splitlines()[0].split(",")
    documented = tables(FOLDER, "## Columns of metrics.csv")
    assert header == [name for name in documented if name not in ("base_kl", "distinct_decisions", "model_tokens")]


@pytest.mark.parametrize(
    ("name", "absent"), [("documented", {"policy"}), ("symbolic", {"adapter", "retention.json", "retention.csv"})]
)
def test_run_folder_holds_documented_files_only(folder, ended, name, absent):
    documented = {name.rstrip("/") for name in tables(FOLDER, "## Files")}
    files = {path.name for path in (folder / name).iterdir()}
    assert files <= documented
    optional = {"wandb", "affordance", "model", "head", "episode.gif", "learning_curve.png"}  # these depend on options
    assert documented - files <= absent | optional | {f"interference.{kind}" for kind in ("json", "csv", "png")}


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_repository_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not link.startswith("https://"):
            assert (ROOT / page).parent.joinpath(link).exists(), link


def test_choices_are_those_of_conf():
    text = (ROOT / "docs" / "start.md").read_text()
    for group in ("env", "norm", "baseline", "affordance", "model", "algorithm", "trainer", "logger", "experiment"):
        (row,) = re.findall(rf"^\| `{group}` \| (.*) \|$", text, re.MULTILINE)
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert re.search(rf"`{path.stem}[` ]", row), f"{group}={path.stem} is missing from docs/start.md"
