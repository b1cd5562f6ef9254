"""A warmed process that forks: every command that a test runs is a process of its own, without seconds of imports.

There are three generations. The server has imported the libraries; there is one for each process of pytest. For each request it
forks a runner, which works in the request's folder and imports the suite from there. The runner forks a child per command.

``python forking.py`` is the server: it reads a request per line of standard input, a JSON object {"folder", "environment",
"commands", "apart"}, and answers each with a line: the exit codes of its commands, negative for those that a signal ended. The
suite is imported from the environment's PYTHONPATH, or else from where the interpreter has it.
"""

import atexit
import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

LIBRARIES = (
    *("torch", "transformers", "peft", "pytorch_lightning", "torch.distributed.fsdp", "torch.utils.tensorboard", "gguf", "lm_eval"),
    *("hydra._internal.core_plugins.basic_sweeper", "submitit", "gymnasium", "rich.console", "PIL.Image"),
    *("pandas", "scipy.stats", "seaborn", "matplotlib.backends.backend_agg"),
)
SUITE = ("twosome.evaluation.suites", "twosome.policies.language", "twosome.runs.run", "twosome.distributed.processes",
         "twosome.cli.entry")  # fmt: skip


def output_files(folder: Path, number: int, apart: bool) -> tuple[Path, Path]:
    """Where a command's standard output and standard error go: into one file unless they are to be apart."""
    output = folder / f".output-{number}"
    return output, folder / f".errors-{number}" if apart else output


def main() -> None:
    """Serve requests until standard input ends."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _run(json.loads(line), writer)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            codes = pipe.read()
        os.waitpid(child, 0)
        print(codes or "null", file=answers, flush=True)


def _run(request: dict[str, Any], writer: int) -> NoReturn:
    """Do a request in its folder, in this process; write the exit codes."""
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        _warm()
        codes = []
        for number, argv in enumerate(request["commands"]):
            child = os.fork()
            if child == 0:
                os.close(writer)
                _command(argv, *output_files(Path(request["folder"]), number, request["apart"]))
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os.write(writer, json.dumps(codes).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def _warm() -> None:
    """Import the suite, and have Hydra find its plugins and parse something."""
    for name in SUITE:
        importlib.import_module(name)
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(Path(importlib.import_module("twosome").__path__[0]) / "conf"), version_base="1.3"):
        compose("config", ["seed=1"])


def _command(argv: list[str], output: Path, errors: Path) -> NoReturn:
    """Run a script in this process, as Python would."""
    for number, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    code = 0
    try:
        sys.argv, sys.path[0] = argv, os.path.abspath(os.path.dirname(argv[0]))
        runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Server:
    """Starts a server when it is first needed, and ends it with this process. python: the interpreter."""

    def __init__(self, python: str) -> None:
        self.python = python
        self.process: subprocess.Popen[str] | None = None

    def run(
        self, folder: Path, commands: list[list[str]], environment: dict[str, str], apart: bool = False, timeout: float = 500
    ) -> list[int]:
        """Return the exit codes of commands that were run one after the other. timeout: in seconds, of all."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [self.python, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", start_new_session=True
            )
            atexit.register(self.close)
        assert self.process.stdin
        assert self.process.stdout
        for number in range(len(commands)):
            for file in output_files(folder, number, apart):
                file.unlink(missing_ok=True)
        request = {"folder": str(folder), "environment": environment, "commands": commands, "apart": apart}
        print(json.dumps(request), file=self.process.stdin, flush=True)
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise TimeoutError(f"commands took more than {timeout} seconds: {commands}")
        codes = json.loads(self.process.stdout.readline() or "null")
        assert codes is not None, "the forking server ended, or could not import the suite: see what it printed"
        return list(codes)

    def close(self) -> None:
        """End the server."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


if __name__ == "__main__":
    main()
