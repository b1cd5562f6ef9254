"""For tests that do what a user does: commands, a copy of the suite, and what its pages say."""

import csv
import importlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from twosome import cli

ROOT = Path(__file__).resolve().parents[1]
_ALL = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))
# docs/start.md makes the runs that later pages read.
PAGES = tuple(dict.fromkeys(["README.md", "docs/start.md", "CONTRIBUTING.md", "CHANGELOG.md", *_ALL]))
ADDING = tuple(f"docs/howto/{name}.md" for name in ("environment", "norm", "algorithm", "model"))
"""The pages that tell how to add code to the suite."""
FOLDER = "docs/run-folder.md"
"""The page with the files of a run's folder and the columns of its tables."""

TIMING = ("rollout_seconds", "update_seconds", "steps_per_second")  # columns of metrics.csv in which equal runs differ


@dataclass(frozen=True)
class Finished:
    """How a command ended: its exit code (negative: killed by a signal) and all that it printed; errors: what went to standard
    error, where that was asked for apart."""

    code: int
    output: str
    errors: str = ""


def copied(folder: Path) -> Path:
    """Copy what a user has of the suite, to be changed and run, into a folder."""
    for name in ("src", "conf", "experiments", "analysis"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True)  # with Python's compiled files, which stay valid
    return folder


def environment() -> dict[str, str]:
    """Ours, without what changes how commands behave: the tests themselves may be run by make. Threads that wait sleep: where
    they spin, as by default, a busy machine makes small models a hundred times slower."""
    ours = {name: value for name, value in os.environ.items() if not re.match("HYDRA_|MAKE|MFLAGS", name)}
    return {"OMP_WAIT_POLICY": "passive"} | ours


def run(
    folder: Path,
    commands: list[list[str]],
    timeout: float = 500,
    python: str = sys.executable,
    apart: bool = False,
    **variables: str,
) -> list[Finished]:
    """Run scripts one after the other in a folder; each command is a script of the suite and its arguments.

    They run in this process, in one other if the folder has a copy of the suite (`copied`), or by another interpreter. apart:
    standard error is `Finished.errors`, not part of its output. variables: of the environment.
    """
    if python != sys.executable:
        own = environment() | {"PYTHONPATH": "", "COLUMNS": "100"} | variables
        errors = subprocess.PIPE if apart else subprocess.STDOUT
        options: Any = {"cwd": folder, "env": own, "stdout": subprocess.PIPE, "stderr": errors, "text": True, "timeout": timeout}
        done = [subprocess.run([python, *command], **options) for command in commands]
        return [Finished(each.returncode, each.stdout, each.stderr or "") for each in done]
    if not (folder / "src").exists():
        return [call(folder, command, apart, **variables) for command in commands]
    own = (
        environment()
        | {"PYTHONPATH": os.pathsep.join(map(str, (folder / "src", folder / "analysis", ROOT / "tests")))}
        | variables
    )
    words = [sys.executable, __file__, str(folder), json.dumps(commands), json.dumps(apart)]
    answer = subprocess.run(words, cwd=folder, env=own, stdout=subprocess.PIPE, text=True, timeout=timeout, check=True).stdout
    return [Finished(*each) for each in json.loads(answer)]


def call(folder: Path, command: list[str], apart: bool = False, **variables: str) -> Finished:
    """Run a script of the suite in this process, in a folder; see `run`."""
    script, words = Path(command[0]), command[1:]
    output = io.StringIO()
    errors = io.StringIO() if apart else output
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        patch.chdir(folder)
        patch.setattr(sys, "argv", [str(ROOT / script), *words])
        for name, value in {"COLUMNS": "100", **variables}.items():
            patch.setenv(name, value)
        try:
            if script.parent.name == "src":
                getattr(cli, script.stem)()
            else:
                code = importlib.import_module(script.stem).main(words)
        except SystemExit as stop:
            code = stop.code
    return Finished(int(code or 0), output.getvalue(), errors.getvalue() if apart else "")


@contextmanager
def started(words: list[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process in a group of its own, which is killed at the end, however the test ends. options: of Popen."""
    process = subprocess.Popen(words, env=environment(), start_new_session=True, **options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def at_work(folder: Path) -> list[int]:
    """The processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder.resolve() and (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:  # it ended meanwhile, or is not ours
            continue
    return found


def result(folder: Path) -> tuple[list[list[str]], list[bytes]]:
    """What must be equal: metrics without timing; episodes, evaluation, retention and trained weights to the byte."""
    with (folder / "metrics.csv").open() as file:
        table = list(csv.reader(file))
    keep = [column for column, name in enumerate(table[0]) if name not in TIMING]
    metrics = [[row[column] for column in keep] for row in table]
    (weights,) = folder.glob("*/*.safetensors")
    files = [folder / name for name in ("episodes.csv", "evaluation.json", "retention.csv", "retention.json")]
    return metrics, [file.read_bytes() for file in [*files, weights] if file.exists()]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The commands in a page's shell blocks, without comments."""
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    return [command for line in lines if (command := shlex.join(shlex.split(line, comments=True)))]


def python_commands(page: str) -> list[str]:
    """Those that start one of the suite's scripts."""
    return [command for command in commands(page) if command.startswith(("python src/", "python analysis/"))]


def added_files() -> dict[str, str]:
    """The files that ADDING tell to add: blocks whose first line is a comment with the file's path, in which they are joined."""
    found = {}
    for block in [block for page in ADDING for language in ("python", "yaml") for block in blocks(page, language)]:
        first, _, content = block.partition("\n")
        path = first.removeprefix("# ")
        found[path] = found.get(path, "") + content
    return found


def tables(page: str, heading: str) -> list[str]:
    """The first cells, as code, of the tables between a heading and the next one."""
    section = (ROOT / page).read_text().split(f"{heading}\n", 1)[1]
    return re.findall(r"^\| `([^`]+)` \|", re.split(r"^#+ ", section, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)


if __name__ == "__main__":  # the other process of `run`
    _, place, asked, split = sys.argv
    every = [call(Path(place), command, json.loads(split)) for command in json.loads(asked)]
    print(json.dumps([(each.code, each.output, each.errors) for each in every]))
