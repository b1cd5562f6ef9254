"""End every process of a run when one fails."""

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import torch.distributed as dist

from twosome import signals
from twosome.errors import ContractError, RunError, UserError

RENDEZVOUS = timedelta(seconds=120)  # to connect to the store: until then the ranks only import libraries
POLL = 0.2  # seconds between two looks at whether another process has failed
GRACE = {True: 10.0, False: 1.0}  # seconds that rank 0, and the other ranks, have to end by themselves after that
FAILED = "failed"


@dataclass(frozen=True)
class ProcessFailure:
    """Hold the exit code and the message of the rank that failed. Code 2: bad input; 128 + n: signal n.

    resumable: whether the run can go on once the cause is removed.
    """

    rank: int
    code: int
    message: str
    resumable: bool = True

    def error(self) -> UserError | RunError:
        """Return the error for rank 0 to raise."""
        if self.code == 2:
            return ContractError(self.message) if self.resumable else UserError(self.message)
        return RunError(f"process {self.rank}: {self.message}")


class FailureMonitor(threading.Thread):
    """End this process when another rank has failed, even while it waits in a collective operation.

    Ranks publish a failure in the store that rank 0 (or torchrun) serves. Only the first one is kept. The thread is needed
    however the processes were started: srun ends no rank by default, torchrun only those of its node, and a process that has
    started others ends none where it is killed itself.
    """

    def __init__(
        self, rank: int, store: dist.TCPStore, children: list[subprocess.Popen[bytes]], scratch: Path | None = None
    ) -> None:
        """scratch: this rank's temporary folder, which is removed where the rank is ended."""
        super().__init__(daemon=True)
        self.rank, self.children, self.scratch, self.over = rank, children, scratch, threading.Event()
        self.address = (store.host, store.port)
        self.store = self._connect()  # of its own, since a client waits for one answer at a time
        self.start()

    def _connect(self) -> dist.TCPStore:
        return dist.TCPStore(*self.address, is_master=False, timeout=RENDEZVOUS)

    def publish(self, failure: ProcessFailure) -> ProcessFailure:
        """Publish a failure; return the first one published."""
        try:
            first = self._connect().compare_set(FAILED, "", json.dumps(asdict(failure)))
            return ProcessFailure(**json.loads(first))
        except (dist.DistError, ValueError):  # rank 0 is gone, and with it the store
            return failure

    def published(self) -> ProcessFailure | None:
        """Return the failure that a rank has published, if any."""
        try:
            return ProcessFailure(**json.loads(self.store.get(FAILED))) if self.store.check([FAILED]) else None
        except (dist.DistError, ValueError):
            return ProcessFailure(0, 1, "process 0 is gone")

    def run(self) -> None:
        """Poll for failures until the run is over."""
        while not self.over.wait(POLL):
            for rank, child in enumerate(self.children, start=1):
                if child.poll():
                    how = f"was killed by signal {-child.returncode}" if child.returncode < 0 else "ended"
                    self.publish(ProcessFailure(rank, 1, f"process {rank} {how}"))
            failure = self.published()
            if failure and not self.over.wait(GRACE[self.rank == 0]):
                if self.rank == 0:
                    hint = f"; then {signals.hint()}" if failure.resumable else ""
                    print(f"error: process {failure.rank}: {failure.message}{hint}", file=sys.__stderr__, flush=True)
                self.end(failure.code)

    def end(self, code: int) -> NoReturn:
        """End this process at once."""
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
        os._exit(code)
