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
from twosome.errors import ContractError, LostProcess, RunError, UserError, visible

RENDEZVOUS = timedelta(seconds=120)  # to connect to the store: until then the ranks only import libraries
POLL = 0.2  # seconds between two looks at whether another process has failed
GRACE = {True: 10.0, False: 1.0}  # seconds that rank 0, and the other ranks, have to end by themselves after that
FAILED = "failed"


@dataclass(frozen=True)
class ProcessFailure:
    """Hold the exit code and the message of the rank that failed. Code 2: bad input; 128 + n: signal n.

    resumable: whether the run can go on once the cause is removed. lost: whether the rank only misses another one.
    """

    rank: int
    code: int
    message: str
    resumable: bool = True
    lost: bool = False

    def error(self) -> UserError | RunError:
        """Return the error for rank 0 to raise."""
        if self.code == 2:
            return ContractError(self.message) if self.resumable else UserError(self.message)
        return (LostProcess if self.lost else RunError)(f"process {self.rank}: {self.message}")


STORE_GONE = ProcessFailure(0, 1, "it is gone: it was killed, or its machine is down", lost=True)
"""What the other ranks take for the failure of rank 0 (or torchrun), with which the store ends."""


class FailureMonitor(threading.Thread):
    """End this process when another rank has failed, even while it waits in a collective operation.

    Ranks publish a failure in the store that rank 0 (or torchrun) serves. Only the first one is kept. The thread is needed
    however the processes were started: srun ends no rank by default, torchrun only those of its node, and a process that has
    started others ends none where it is killed itself.
    """

    def __init__(
        self,
        rank: int,
        store: dist.TCPStore,
        children: list[subprocess.Popen[bytes]],
        scratch: Path | None = None,
        speaks: bool = False,
    ) -> None:
        """scratch: this rank's temporary folder, which is removed where the rank is ended. speaks: whether it is this rank that
        prints the line if rank 0 is gone, which prints all others."""
        super().__init__(daemon=True)
        self.rank, self.children, self.scratch, self.speaks, self.over = rank, children, scratch, speaks, threading.Event()
        self.address = (store.host, store.port)
        self.store = self._connect()  # of its own, since a client waits for one answer at a time
        self.start()

    def _connect(self) -> dist.TCPStore:
        return dist.TCPStore(*self.address, is_master=False, timeout=RENDEZVOUS)

    def publish(self, failure: ProcessFailure) -> ProcessFailure:
        """Publish a failure; return the first one published, which may be that the store is gone."""
        try:
            first = self._connect().compare_set(FAILED, "", json.dumps(asdict(failure)))
            return ProcessFailure(**json.loads(first))
        except (dist.DistError, ValueError):
            return STORE_GONE if self.rank else failure

    def published(self) -> ProcessFailure | None:
        """Return the failure that a rank has published, if any."""
        try:
            return ProcessFailure(**json.loads(self.store.get(FAILED))) if self.store.check([FAILED]) else None
        except (dist.DistError, ValueError):
            return STORE_GONE

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
                    self.show(failure)
                self.end(failure.code, failure)

    def show(self, failure: ProcessFailure) -> None:
        """Print a failure as one line."""
        hint = f"; then {signals.hint()}" if failure.resumable else ""
        print(visible(f"error: process {failure.rank}: {failure.message}{hint}"), file=sys.__stderr__, flush=True)

    def end(self, code: int, cause: ProcessFailure | None = None) -> NoReturn:
        """End this process at once. cause: the failure of another process."""
        if self.speaks and cause is STORE_GONE:
            self.show(cause)
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
        os._exit(code)
