"""A warmed process that forks: every command that a test runs is a process of its own, without seconds of imports.

There are three generations. The server has imported the libraries; there is one for each process of pytest. For each request it
forks a runner, which works in the request's folder and imports the suite from there. The runner forks a child per command.
Where the suite is this checkout's own, which no test changes, a second server does the same, which has imported the suite, too.

``python forking.py`` is the server: it reads a request per line of standard input, a JSON object, and answers each with a line.
{"folder", "environment", "commands", "apart"}: the answer is the exit codes of the commands, negative for those that a signal
ended. {"folder", "environment", "start", "files"}: the answer is the process id of one command, which goes on; its exit code is
written into the last of the files. The suite is imported from the environment's PYTHONPATH, or from where the interpreter has it.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

LIBRARIES = (
    *(
        "torch",
        "transformers",
        "peft",
        "pytorch_lightning",
        "torch.distributed.fsdp",
        "torch.utils.tensorboard",
        "gguf",
        "lm_eval",
    ),
    *("hydra._internal.core_plugins.basic_sweeper", "submitit", "gymnasium", "rich.console", "PIL.Image"),
    *("pandas", "pyarrow.pandas_compat", "scipy.stats", "seaborn", "matplotlib.backends.backend_agg"),
    *("transformers.models.llama.modeling_llama", "peft.utils.transformers_weight_conversion"),
)
OWN = str(Path(__file__).resolve().parents[1] / "src")
SUITE = ("twosome.evaluation.suites", "twosome.policies.language", "twosome.policies.symbolic", "twosome.runs.run",
         "twosome.distributed.processes", "twosome.cli.entry", "twosome.envs.overcooked", "twosome.algorithms.ppo",
         "twosome.language.engines", "twosome.language.lora", "twosome.estimates.feasible", "twosome.runs.evaluate",
         "twosome.evaluation.figures", "twosome.training.fit")  # fmt: skip


def output_files(folder: Path, number: int, apart: bool) -> tuple[Path, Path]:
    """Where a command's standard output and standard error go: into one file unless they are to be apart."""
    output = folder / f".output-{number}"
    return output, folder / f".errors-{number}" if apart else output


def main() -> None:
    """Serve requests until standard input ends."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(ImportError):
        _exercise()
    _freeze()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    own: tuple[TextIO, TextIO] | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["environment"].get("PYTHONPATH") == OWN:
            own = own or _second()
            print(line, file=own[0], end="", flush=True)
            answer = own[1].readline().rstrip()
        else:
            answer = _answer(request)
        print(answer or "null", file=answers, flush=True)


def _second() -> tuple[TextIO, TextIO]:
    """Fork the server that has imported this checkout's suite; returns where to write requests and read answers."""
    (requests, ask), (hear, answers) = os.pipe(), os.pipe()
    if os.fork():
        os.close(requests)
        os.close(answers)
        return os.fdopen(ask, "w"), os.fdopen(hear)
    try:
        os.close(ask)
        os.close(hear)
        sys.path[1:1] = [OWN]
        _warm()
        _freeze()
        with os.fdopen(requests) as lines, os.fdopen(answers, "w") as out:
            for line in lines:
                print(_answer(json.loads(line), warm=True) or "null", file=out, flush=True)
    except BaseException:
        traceback.print_exc()
    os._exit(0)


def _answer(request: dict[str, Any], warm: bool = False) -> str:
    """Have a runner do a request; returns its answer, nothing if it failed. warm: whether the suite is imported."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        _run(request, writer, warm)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return answer


def _exercise() -> None:
    """Do once what the libraries do only the first time: look for fonts and devices, compile regular expressions.

    There is no backward pass: after one, PyTorch refuses those of forked processes.
    """
    import io

    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = get_peft_model(LlamaForCausalLM(LlamaConfig(vocab_size=32, **sizes)), LoraConfig(r=2, target_modules=["q_proj"]))
    with torch.no_grad():
        model(torch.zeros(1, 4, dtype=torch.long))
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_title("title", fontweight="bold")
    axes.plot([0, 1], label="label")
    axes.legend()
    figure.savefig(io.BytesIO(), format="png")


def _freeze() -> None:
    """Keep the garbage collector of the processes to come from what lives already: to look at it would copy it."""
    gc.collect()
    gc.freeze()


def _run(request: dict[str, Any], writer: int, warm: bool) -> NoReturn:
    """Do a request in its folder, in this process; write the answer. warm: whether the suite is imported."""
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        if not warm:
            sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
            _warm()
            _freeze()
        if "start" in request:
            output, errors, status = map(Path, request["files"])
            child = _forked(request["start"], output, errors, writer, session=True)
            os.write(writer, str(child).encode())
            os.close(writer)
            part = status.with_suffix(".part")
            part.write_text(str(_ended(child)))
            part.replace(status)
        else:
            files = (output_files(Path(request["folder"]), n, request["apart"]) for n in range(len(request["commands"])))
            codes = [_ended(_forked(argv, *each, writer)) for argv, each in zip(request["commands"], files, strict=True)]
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


def _forked(argv: list[str], output: Path, errors: Path, writer: int, session: bool = False) -> int:
    """Start a command; returns its process id. session: whether it leads a process group of its own."""
    child = os.fork()
    if child == 0:
        if session:
            os.setsid()
        os.close(writer)
        _command(argv, output, errors)
    return child


def _ended(child: int) -> int:
    """Wait for a process; returns its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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

    def _answer(self, request: dict[str, Any], timeout: float) -> Any:
        """Ask for something."""
        if self.process is None or self.process.poll() is not None:
            own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # a request's counts
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self.process = subprocess.Popen([self.python, __file__], text=True, cwd="/", env=own, start_new_session=True, **pipes)
            atexit.register(self.close)
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(request), file=self.process.stdin, flush=True)
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise TimeoutError(f"more than {timeout} seconds: {request}")
        answer = json.loads(self.process.stdout.readline() or "null")
        assert answer is not None, "the forking server ended, or could not import the suite: see what it printed"
        return answer

    def run(
        self, folder: Path, commands: list[list[str]], environment: dict[str, str], apart: bool = False, timeout: float = 500
    ) -> list[int]:
        """Return the exit codes of commands that were run one after the other. timeout: in seconds, of all."""
        for number in range(len(commands)):
            for file in output_files(folder, number, apart):
                file.unlink(missing_ok=True)
        request = {"folder": str(folder), "environment": environment, "commands": commands, "apart": apart}
        return list(self._answer(request, timeout))

    @contextlib.contextmanager
    def started(
        self, folder: Path, argv: list[str], environment: dict[str, str], output: Path, errors: Path
    ) -> Iterator["Started"]:
        """A script that was started in a folder, in a process group of its own, which is killed at the end."""
        status = errors.with_name(f".{errors.name}.status")
        for file in (output, errors, status):
            file.unlink(missing_ok=True)
        request = {"folder": str(folder), "environment": environment, "start": argv}
        started = Started(self._answer(request | {"files": [str(output), str(errors), str(status)]}, 60), output, errors, status)
        try:
            yield started
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait(60)

    def close(self) -> None:
        """End the server."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Started:
    """A process that a server started, as a Popen. pid: its process id and group. output, errors: files with what it printed."""

    def __init__(self, pid: int, output: Path, errors: Path, status: Path) -> None:
        self.pid, self.output, self.errors, self._status = pid, output, errors, status

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        return int(self._status.read_text()) if self._status.exists() else None

    def wait(self, timeout: float) -> int:
        """Return the exit code. timeout: in seconds."""
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise TimeoutError(f"process {self.pid} has not ended after {timeout} seconds")
            time.sleep(0.005)
        return code


if __name__ == "__main__":
    main()
