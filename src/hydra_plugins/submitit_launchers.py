"""Hydra's submitit launchers with an eye on each job: a sweep on a SLURM cluster, or as processes of this machine.

Chosen by ``hydra/launcher=slurm`` (conf/hydra/launcher/slurm.yaml explains its options) or ``hydra/launcher=submitit_local``. A
job is a pickle of this launcher, called on another machine, that runs one of the sweep's configurations. When a job is
preempted or reaches its time limit, it is stopped wherever it is and queued again; runs go on from their last checkpoint.
"""

import contextlib
import dataclasses
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf, LocalQueueConf, SlurmQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher
from omegaconf import DictConfig

from twosome import signals
from twosome.errors import UserError
from twosome.failures import Failure, note

if TYPE_CHECKING:
    from submitit import Job


@dataclass
class LocalConf(LocalQueueConf):
    """Options of hydra/launcher=submitit_local. timeout_min: a week; a job that reaches it goes on, three times at most."""

    _target_: str = f"{__name__}.LocalLauncher"
    timeout_min: int = 10_080


@dataclass
class SlurmConf(SlurmQueueConf):
    """Options of hydra/launcher=submitit_slurm, which hydra/launcher=slurm sets."""

    _target_: str = f"{__name__}.SlurmLauncher"


class Launchers(SearchPathPlugin):
    """Puts the launchers below in place of their bases, when Hydra has imported all its plugins (the bases' too, again)."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Leave the search path as it is."""
        for name, node in (("submitit_local", LocalConf), ("submitit_slurm", SlurmConf)):
            ConfigStore.instance().store(group="hydra/launcher", name=name, node=node, provider=__name__)


log = logging.getLogger(__name__)
Handler = Callable[[int, FrameType | None], Any]


class ReportingLauncher(BaseSubmititLauncher):
    """Waits for every job, whatever becomes of the others, and notes those that failed."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run the jobs; a failed one's return value is its Failure. Raises UserError where they cannot be submitted."""
        jobs = self._submit(job_overrides, initial_job_idx)
        return [self._returned(job, list(overrides)) for job, overrides in zip(jobs, job_overrides, strict=True)]

    def _submit(self, job_overrides: Sequence[Sequence[str]], first: int) -> "list[Job[JobReturn]]":
        import submitit
        from submitit.core.utils import FailedJobError

        shared = {field.name for field in dataclasses.fields(BaseQueueConf)}
        options = {name if name in shared else f"{self._EXECUTOR}_{name}": value for name, value in self.params.items()}
        folder, own = options.pop("submitit_folder"), ("slurm_max_num_timeout", "slurm_python")  # not sbatch's: the executor's
        settings = {name: options.pop(name) for name in own if name in options}
        _prepare_environment(options["cpus_per_task"])
        calls = [
            (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
            for number, overrides in enumerate(job_overrides, start=first)
        ]
        try:
            executor = submitit.AutoExecutor(folder, cluster=self._EXECUTOR, **settings)
            executor.update_parameters(**options)
            jobs = executor.map_array(self, *zip(*calls, strict=True))
        except (FailedJobError, ValueError) as error:  # what sbatch or submitit said
            raise UserError(f"hydra.launcher: expected options that can be had here; {' '.join(str(error).split())}") from None
        for job, overrides in zip(jobs, job_overrides, strict=True):
            log.info(f"{job.job_id}: {' '.join(filter_overrides(overrides))}; log: {job.task(0).paths.stderr}")
        return jobs

    def _returned(self, job: "Job[JobReturn]", overrides: list[str]) -> JobReturn:
        """What a job returned, once it has ended; a job of several tasks returns its first task's value."""
        results = []
        for task in (job.task(number) for number in range(job.num_tasks)):
            result = _result(task, overrides)
            if isinstance(result.return_value, Failure):
                note(dataclasses.replace(result.return_value, log=task.paths.stderr))
                return result
            results.append(result)
        return results[0]

    def __call__(self, *args: Any) -> JobReturn:
        """Do a job, where it runs."""
        import submitit

        usr_signal = submitit.JobEnvironment()._usr_sig()
        signal.signal(usr_signal, queued_again(signal.getsignal(usr_signal)))  # type: ignore[arg-type]
        result = super().__call__(*args)
        if isinstance(result.return_value, Failure):
            print(result.return_value, file=sys.stderr)
        return result


class LocalLauncher(ReportingLauncher):
    """Processes of this machine, which end with this one when it is interrupted; runs go on from their last checkpoint."""

    _EXECUTOR = "local"

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """See ReportingLauncher."""
        try:
            return super().launch(job_overrides, initial_job_idx)
        except signals.Interrupted:
            for pid in _descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise

    def _submit(self, job_overrides: Sequence[Sequence[str]], first: int) -> "list[Job[JobReturn]]":
        """See ReportingLauncher. Jobs inherit that the terminal's signals are blocked: this process gets them and ends all."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
        try:
            return super()._submit(job_overrides, first)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


class SlurmLauncher(ReportingLauncher):
    """Jobs of a SLURM cluster."""

    _EXECUTOR = "slurm"

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Raise UserError where jobs cannot be submitted or followed from here."""
        if missing := [name for name in ("sbatch", "srun", "scontrol", "sacct") if shutil.which(name) is None]:
            raise UserError(
                f"hydra/launcher=slurm: expected a machine that submits jobs to SLURM; there is no {missing[0]} on the PATH; "
                "use hydra/launcher=submitit_local, or none, to run the sweep on this machine"
            )
        asked = subprocess.run(["sacct", "--noheader", "--allocations"], capture_output=True, text=True)
        if asked.returncode:  # submitit would wait for ever for a job that was killed
            raise UserError(
                f"hydra/launcher=slurm: expected accounting by SLURM; sacct says: {' '.join(asked.stderr.split())}; "
                "ask who runs the cluster, or use hydra/launcher=submitit_local within an allocation"
            )
        self.params["python"] = _deaf_python()
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """See ReportingLauncher; the jobs go on when this process is interrupted."""
        sweep = signals.hint()
        signals.set_hint(lambda: f"SLURM goes on with the jobs above (`scancel <id>` stops them); later {sweep}", instead=True)
        returned = super().launch(job_overrides, initial_job_idx)
        signals.set_hint(lambda: sweep, instead=True)
        return returned


def queued_again(handler: Handler) -> Handler:
    """submitit's handler of the signal before a job's end, which has the job queued again; right where SLURM is quick.

    SLURM, asked to queue a job again, kills its processes; so it may kill the very `scontrol` that asked. That is success and
    not, as submitit takes it, the job's failure.
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


def _result(task: "Job[JobReturn]", overrides: list[str]) -> JobReturn:
    """What a task returned, or, if it died, how."""
    from submitit.core.utils import UncompletedJobError

    try:
        (result,) = task.results()
    except UncompletedJobError:
        lines = [line for line in (task.stderr() or "").splitlines() if "error" in line.lower()]
        message = (
            f"ended without a result ({task.state}), killed or lost: {lines[-1].strip() if lines else 'its log has no error'}"
        )
        result = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
        result.return_value = Failure(" ".join(filter_overrides(overrides)), message)
    return result


def _descendants(pid: int) -> list[int]:
    """A process's children, theirs, and so on."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:  # it has just ended
        return []
    return [*children, *(each for child in children for each in _descendants(child))]


def _deaf_python() -> str:
    """The shell's words for this Python, which ignores the signal before a job's end until submitit handles it.

    Until then, for seconds of importing, it would die of it, and SLURM take that for the job's own failure.
    """
    import submitit

    ignore = f'trap "" {submitit.JobEnvironment.USR_SIG}; exec {shlex.quote(sys.executable)} "$@"'
    return shlex.join(["sh", "-c", ignore, "sh"])


def _prepare_environment(cpus_per_task: int | None) -> None:
    """Set the variables that jobs take over from this process. An installed suite is found without."""
    source = str(Path(__file__).resolve().parents[1])
    if source != sysconfig.get_path("purelib"):
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join([source, *(path for path in paths if path not in ("", source))])
    if cpus_per_task is not None:  # since SLURM 22.05, srun does not take them over from sbatch
        os.environ["SRUN_CPUS_PER_TASK"] = str(cpus_per_task)
