"""twosome.signals, in scripts of a few lines: the process ends in time, with one line, whatever it does; and the tests' own."""

import ast
import signal
import subprocess
import sys
import time
import tomllib

import pytest
from checkout import ROOT, Finished, started
from test_interrupted import remedy

COMMANDS = sorted(path.stem for path in ROOT.glob("src/*.py"))
ANALYSIS = sorted(path for path in ROOT.glob("analysis/*.py") if "__main__" in path.read_text())


@pytest.mark.parametrize("path", ANALYSIS, ids=lambda path: path.stem)
def test_every_script_begins_with_the_handlers(path):
    _docstring, first, *_ = ast.parse(path.read_text()).body
    assert ast.unparse(first) == "if __name__ == '__main__':\n    from twosome import signals\n    signals.install()"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_begins_with_the_handlers(name):
    _docstring, imports, start = ast.parse((ROOT / "src" / f"{name}.py").read_text()).body
    assert ast.unparse(imports) == f"from twosome.cli.{name} import main"
    assert ast.unparse(start) == "if __name__ == '__main__':\n    main()"
    body = ast.parse((ROOT / "src" / "twosome" / "cli" / f"{name}.py").read_text()).body
    imported = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported == ["from typing import TYPE_CHECKING", "from twosome import signals"]  # which take no time
    (main,) = (node for node in body if isinstance(node, ast.FunctionDef) and node.name == "main")
    assert ast.unparse(main.body[1]) == "signals.install()"


def test_every_command_can_be_installed():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {f"twosome-{name}": f"twosome.cli.{name}:main" for name in COMMANDS}


# the mechanism, in scripts of a few lines

START = f"""
import os, signal, sys, time
sys.path.insert(0, {str(ROOT / "src")!r})
from twosome import signals
"""


def script(text: str, *wrapper: str) -> Finished:
    """Run a few lines of Python."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with started([*wrapper, sys.executable, "-c", START + text], **options) as process:
        output, _ = process.communicate(timeout=30)
    return Finished(process.returncode, output)


SWALLOWED = """
signals.GRACE = 0.3
signals.install()
with signals.unwinding():
    signals.set_hint(lambda: "go on")
    while True:
        try:
            signal.raise_signal(signal.SIGTERM)
            time.sleep(1)
        except BaseException:
            pass
"""
IN_A_LONG_CALL = """
import hashlib, threading
signals.GRACE = 0.3
signals.install()
signals.set_hint(lambda: "go on")
threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000_000)
"""
IN_A_DESTRUCTOR = """
class Object:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
signals.install()
with signals.unwinding():
    signals.set_hint(lambda: "go on")
    Object()
    time.sleep(30)
"""
TURNED_INTO_AN_ERROR = """
signals.install()
with signals.unwinding():
    signals.set_hint(lambda: "go on")
    try:
        signal.raise_signal(signal.SIGTERM)
    except BaseException:
        raise ImportError("a library's")
"""
WHILE_IT_CLOSES = """
signals.install()
with signals.unwinding():
    signals.set_hint(lambda: "go on")
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)
        time.sleep(0.1)
        print("closed")
"""
AT_THE_END = """
import atexit
signals.install()
signals.set_hint(lambda: "go on")
atexit.register(signal.raise_signal, signal.SIGTERM)
"""
WITH_A_FORKED_WORKER = """
signals.install()
signals.set_hint(lambda: "go on")
with signals.unwinding():
    if not (child := os.fork()):
        time.sleep(30)
    time.sleep(0.2)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    time.sleep(0.2)
    signal.raise_signal(signal.SIGTERM)
"""


@pytest.mark.parametrize("text", [
    SWALLOWED, IN_A_LONG_CALL, IN_A_DESTRUCTOR, TURNED_INTO_AN_ERROR, WHILE_IT_CLOSES, AT_THE_END, WITH_A_FORKED_WORKER,
])  # fmt: skip
def test_the_process_ends_in_time_with_one_line_whatever_it_does(text):
    start = time.monotonic()
    finished = script(text)
    assert time.monotonic() - start < 10
    assert remedy(finished, "SIGTERM") == "go on"
    assert finished.output.startswith("closed\n" if text is WHILE_IT_CLOSES else "interrupted")


WHEN_THE_TERMINAL_IS_GONE = """
import pty
pid, terminal = pty.fork()
if pid == 0:
    signals.install()
    with signals.unwinding():
        while True:
            print("at work", flush=True)
            time.sleep(0.01)
os.read(terminal, 7)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_process_whose_terminal_is_gone_ends_with_its_code():
    assert script(WHEN_THE_TERMINAL_IS_GONE).output == f"{128 + signal.SIGHUP}\n"


IGNORED = """
signals.install()
for signum in (signal.SIGINT, signal.SIGHUP):
    signal.raise_signal(signum)
print(signal.getsignal(signal.SIGINT).name, signal.getsignal(signal.SIGHUP).name)
signal.raise_signal(signal.SIGTERM)
"""


def test_what_was_ignored_from_the_start_stays_ignored():
    finished = script(IGNORED, "sh", "-c", 'trap "" INT HUP; exec "$@"', "sh")
    assert finished.output.splitlines()[0] == "SIG_IGN SIG_IGN"
    assert finished.code == 128 + signal.SIGTERM


# the tests' own processes

UNDER_NOHUP = f"""
import subprocess
sys.path.insert(0, {str(ROOT / "tests")!r})
import conftest
signal.raise_signal(signal.SIGINT)
shown = "import signal; print(signal.getsignal(2).__name__, *(signal.getsignal(each).name for each in (1, 15)))"
subprocess.run([sys.executable, "-c", shown])
"""


def test_what_tests_start_ignores_no_signal():
    finished = script(UNDER_NOHUP, "sh", "-c", 'trap "" INT HUP TERM; exec "$@"', "sh")
    assert (finished.code, finished.output) == (0, "default_int_handler SIG_DFL SIG_DFL\n")


def test_what_tests_start_ends_with_them():
    with pytest.raises(ZeroDivisionError), started(["sh", "-c", "sleep 100 & sleep 100"], stdout=subprocess.PIPE) as process:
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL
    assert process.stdout.read() == b""  # its child is gone too, or would still hold the pipe
