"""No process of a team outlives another's failure."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from datetime import timedelta

import torch.distributed as dist

RENDEZVOUS = timedelta(seconds=120)  # to find each other: all it takes by then is Python's imports
POLL = 0.2  # seconds between two looks at whether another process has failed
GRACE = {True: 10.0, False: 1.0}  # seconds that the first process, and the others, have to end by themselves after that
FAILED = "failed"


@dataclass(frozen=True)
class Failure:
    """What ended a process: its exit code and a line; code 2 is bad input, 128 + a signal that signal."""

    rank: int
    code: int
    message: str


class Watch(threading.Thread):
    """Sees to it that no process outlives another's failure, even one that waits for it in a collective operation.

    A failure is told through the store that the first process serves. There is one; whoever comes later is its victim.
    """

    def __init__(self, rank: int, store: dist.TCPStore, children: list[subprocess.Popen[bytes]]) -> None:
        super().__init__(daemon=True)
        self.rank, self.children, self.over = rank, children, threading.Event()
        self.address = (store.host, store.port)
        self.store = self._connect()  # of its own, since a client waits for one answer at a time
        self.start()

    def _connect(self) -> dist.TCPStore:
        return dist.TCPStore(*self.address, is_master=False, timeout=RENDEZVOUS)

    def tell(self, failure: Failure) -> Failure:
        """Tell everybody of a failure; returns the one that was first."""
        try:
            told = self._connect().compare_set(FAILED, "", json.dumps(asdict(failure)))
            return Failure(**json.loads(told))
        except (dist.DistError, ValueError):  # the first process is gone, and with it the store
            return failure

    def heard(self) -> Failure | None:
        """The failure that somebody told of."""
        try:
            return Failure(**json.loads(self.store.get(FAILED))) if self.store.check([FAILED]) else None
        except (dist.DistError, ValueError):
            return Failure(0, 1, "process 0 is gone")

    def run(self) -> None:
        """Look out for failures until the end."""
        while not self.over.wait(POLL):
            for rank, child in enumerate(self.children, start=1):
                if child.poll():
                    how = f"was killed by signal {-child.returncode}" if child.returncode < 0 else "ended"
                    self.tell(Failure(rank, 1, f"process {rank} {how}"))
            failure = self.heard()
            if failure and not self.over.wait(GRACE[self.rank == 0]):
                if self.rank == 0:
                    print(f"error: process {failure.rank}: {failure.message}", file=sys.__stderr__, flush=True)
                os._exit(failure.code)
