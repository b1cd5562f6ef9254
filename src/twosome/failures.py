"""Jobs that failed: from where that is seen, in this process or by a launcher, to the report at the entry's end."""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Failure:
    """A job that failed, in words, since an exception may not survive the way from another machine.

    job: its overrides, in a sweep. message: one line. bad_input: whether a user can put it right. log: where to read more.
    """

    job: str
    message: str
    bad_input: bool = False
    log: Path | None = None

    def __str__(self) -> str:
        job = f"job {self.job}: " if self.job else ""
        log = f"; log: {self.log}" if self.log else ""
        return f"error: {job}{self.message}{log}"


_failures: list[Failure] = []


def note(failure: Failure) -> Failure:
    """Keep a failure for the report; returns it."""
    _failures.append(failure)
    return failure


def report() -> int:
    """Say what failed; returns the exit code: 0, 2 where all of it was bad input, otherwise 1."""
    for failure in _failures:
        print(failure, file=sys.stderr)
    if not _failures:
        return 0
    return 2 if all(failure.bad_input for failure in _failures) else 1
