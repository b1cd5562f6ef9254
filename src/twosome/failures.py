"""Failed jobs, collected in this process or by a launcher, and reported when the command ends."""

import sys
from dataclasses import dataclass
from pathlib import Path

from twosome.errors import visible


@dataclass(frozen=True)
class Failure:
    """A job that failed, described by texts, since an exception from another machine may not be unpickled.

    job: its overrides in a sweep. message: one line. bad_input: whether the user can fix it. log: the job's log file. lost:
    whether the job failed because one of its processes is gone.
    """

    job: str
    message: str
    bad_input: bool = False
    log: Path | None = None
    lost: bool = False

    def __str__(self) -> str:
        job = f"job {self.job}: " if self.job else ""
        log = f"; log: {self.log}" if self.log else ""
        return visible(f"error: {job}{self.message}{log}")


_failures: list[Failure] = []


def note(failure: Failure) -> Failure:
    """Add a failure to the report; return it."""
    _failures.append(failure)
    return failure


def report() -> int:
    """Print the failures; return the exit code: 0 without failures, 2 if all were bad input, otherwise 1."""
    for failure in _failures:
        print(failure, file=sys.stderr)
    if not _failures:
        return 0
    return 2 if all(failure.bad_input for failure in _failures) else 1
