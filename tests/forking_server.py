"""A warmed process that forks: every command that a test runs is a process of its own, without seconds of imports.

There are four generations. The server has imported the libraries; there is one for each process of pytest. It forks a second
server, which imports the suite from where the request asks, and is kept as long as requests ask for the same files. For each
request that one forks a runner, which works in the request's folder. The runner forks a child per command.

``python forking_server.py`` is the server: it reads a request per line of standard input, a JSON object, and answers each with
a line. {"folder", "environment", "commands", "apart"}: the answer is the exit codes of the commands, negative for those that a
signal ended. {"folder", "environment", "start", "files"}: the answer is the process id of one command, which goes on; its exit
code is written into the last of the files. The suite is imported from the environment's PYTHONPATH, or from where the interpreter
has it.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

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
SUITE = ("twosome.evaluation.suites", "twosome.policies.language", "twosome.policies.symbolic", "twosome.runs.run",
         "twosome.distributed.processes", "twosome.cli.entry", "twosome.envs.overcooked", "twosome.algorithms.ppo",
         "twosome.language.gate", "twosome.language.tuning", "twosome.runs.evaluate",
         "twosome.evaluation.figures", "twosome.training.fit")  # fmt: skip


def output_files(folder: Path, number: int, apart: bool) -> tuple[Path, Path]:
    """Where a command's standard output and standard error go: into one file unless they are to be apart."""
    output = folder / f".output-{number}"
    return output, folder / f".errors-{number}" if apart else output


def main() -> None:
    """Serve requests until standard input ends."""
    gc.disable()  # until all libraries are imported
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(ImportError):
        _exercise()
    freeze()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    kept: Second | None = None
    for line in sys.stdin:
        request = json.loads(line)
        paths = _paths(request)
        state = _state(paths)
        if kept is None or kept.state != state:
            if kept:
                kept.end()
            kept = Second(paths, state)
        print(kept.answer(line) or "null", file=answers, flush=True)


def _paths(request: dict[str, Any]) -> list[str]:
    """Where a request's suite is imported from, before where the interpreter has it: absolute paths."""
    given = request["environment"].get("PYTHONPATH", "").split(os.pathsep)
    return [os.path.abspath(os.path.join(request["folder"], path)) for path in given if path]


def _state(paths: list[str]) -> list[tuple[str, int, int]]:
    """Return names, times and sizes of the modules below some paths."""
    files = [file for path in paths for file in sorted(Path(path).rglob("*.py"))]
    return [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files]


class Second:
    """A server that has imported the suite as well. paths: where from. state: of the modules there."""

    def __init__(self, paths: list[str], state: list[tuple[str, int, int]]) -> None:
        self.state = state
        (requests, ask), (hear, answers) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(ask)
            os.close(hear)
            _serve(paths, requests, answers)
        os.close(requests)
        os.close(answers)
        self._ask, self._hear = os.fdopen(ask, "w"), os.fdopen(hear)

    def answer(self, line: str) -> str:
        """Return the answer to a request; nothing if the suite could not be imported."""
        with contextlib.suppress(BrokenPipeError):
            self._ask.write(line)
            self._ask.flush()
        return self._hear.readline().rstrip()

    def end(self) -> None:
        """End the process; what it has started goes on."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        for file in (self._ask, self._hear):
            with contextlib.suppress(BrokenPipeError):
                file.close()


def _serve(paths: list[str], requests: int, answers: int) -> NoReturn:
    """Import the suite, then answer the requests of a pipe in another, in this process."""
    try:
        sys.path[1:1] = paths
        _warm()
        freeze()
        with os.fdopen(requests) as lines, os.fdopen(answers, "w") as out:
            for line in lines:
                print(_answer(json.loads(line)) or "null", file=out, flush=True)
    except BaseException:
        traceback.print_exc()
    os._exit(0)


def _answer(request: dict[str, Any]) -> str:
    """Have a runner do a request; returns its answer, nothing if it failed."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        _run(request, writer)
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


def freeze() -> None:
    """Enable the garbage collector, but keep it from what lives already: in forked processes, to look at that would copy it."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _run(request: dict[str, Any], writer: int) -> NoReturn:
    """Do a request in its folder, in this process; write the answer."""
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
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


if __name__ == "__main__":
    main()
