"""What a SLURM job's own process and the launcher that waits for it know of SLURM, where submitit's knowledge does not suffice.

Hydra takes no module whose name begins with an underscore for a plugin.
"""

import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from submitit.slurm.slurm import SlurmInfoWatcher

Handler = Callable[[int, FrameType | None], Any]


def requeue_handler(handler: Handler) -> Handler:
    """Wrap submitit's handler of the signal before a job's end, which requeues the job by `scontrol`.

    When SLURM requeues a job it kills the job's processes, which may include `scontrol` itself. submitit takes that for a failure
    of the job; here it counts as success.
    """

    def handle(signum: int, frame: FrameType | None) -> None:
        print(f"\n{signal.Signals(signum).name}: preempted, or soon out of time", file=sys.stderr, flush=True)
        try:
            handler(signum, frame)
        except subprocess.CalledProcessError as error:
            if error.returncode >= 0:
                raise
            raise SystemExit(255) from None

    return handle


def watcher() -> "SlurmInfoWatcher":
    """Return what asks SLURM for the states of jobs. A job whose node is lost has not ended if SLURM has queued it again.

    Until it starts, sacct may say NODE_FAIL of it, which submitit takes for its end.
    """
    from submitit.slurm.slurm import SlurmInfoWatcher

    class Watcher(SlurmInfoWatcher):
        def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
            found = super().read_info(string)
            for job, info in found.items():
                if info["State"] == "NODE_FAIL" and _in_queue(job):
                    info["State"] = "REQUEUED"
            return found

    return Watcher(delay_s=600)


def _in_queue(job: str) -> bool:
    """Return whether a job waits or runs."""
    return bool(subprocess.run(["squeue", "--noheader", f"--jobs={job}"], capture_output=True, text=True).stdout.strip())


def python_ignoring_signal() -> str:
    """Return a shell command for this Python that ignores the signal before a job's end until submitit installs its handler.

    Without it the signal would end the process while it imports libraries, and SLURM would count that as a failure of the job.
    """
    import submitit

    ignore = f'trap "" {submitit.JobEnvironment.USR_SIG}; exec {shlex.quote(sys.executable)} "$@"'
    return shlex.join(["sh", "-c", ignore, "sh"])
