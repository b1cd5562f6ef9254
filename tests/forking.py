"""Commands that tests run, by way of a warmed process (forking_server.py): each is a process of its own."""

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forking_server
from forking_server import output_files


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
            self.process = subprocess.Popen(
                [self.python, forking_server.__file__], text=True, cwd="/", env=own, start_new_session=True, **pipes
            )
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
