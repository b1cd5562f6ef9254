"""Hydra's submitit launchers with reports of failed jobs: a sweep on a SLURM cluster, or as processes of this machine.

They are selected by ``hydra/launcher=slurm`` (conf/hydra/launcher/slurm.yaml explains its options) or
``hydra/launcher=submitit_local``. A job is a pickle of this launcher, called on another machine, that runs one of the sweep's
configurations. When a job is preempted or reaches its time limit, it is stopped and queued again. Runs are resumed from their
last checkpoint.
"""

import contextlib
import dataclasses
import logging
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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

from hydra_plugins._slurm import python_ignoring_signal, requeue_handler, watcher
from twosome import signals
from twosome.errors import UserError
from twosome.failures import Failure, note

if TYPE_CHECKING:
    from submitit import Job


@dataclass
class LocalConf(LocalQueueConf):
    """The options of hydra/launcher=submitit_local. timeout_min: a week; a job that reaches it is restarted up to three times."""

    _target_: str = f"{__name__}.LocalLauncher"
    timeout_min: int = 10_080


@dataclass
class SlurmConf(SlurmQueueConf):
    """The options of hydra/launcher=submitit_slurm, which hydra/launcher=slurm sets."""

    _target_: str = f"{__name__}.SlurmLauncher"


class Launchers(SearchPathPlugin):
    """A plugin that replaces the submitit launchers by those below after Hydra has imported all plugins."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Leave the search path as it is."""
        for name, node in (("submitit_local", LocalConf), ("submitit_slurm", SlurmConf)):
            ConfigStore.instance().store(group="hydra/launcher", name=name, node=node, provider=__name__)


log = logging.getLogger(__name__)


class ReportingLauncher(BaseSubmititLauncher):
    """A launcher that waits for every job, also after failures of others, and collects the failures."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run the jobs. The return value of a failed job is its Failure. Raises UserError if the jobs cannot be submitted."""
        jobs = self._submit(job_overrides, initial_job_idx)
        return [self._returned(job, list(overrides)) for job, overrides in zip(jobs, job_overrides, strict=True)]

    def _submit(self, job_overrides: Sequence[Sequence[str]], first: int) -> "list[Job[JobReturn]]":
        import submitit
        from submitit.core.utils import FailedJobError

        shared = {field.name for field in dataclasses.fields(BaseQueueConf)}
        options = {name if name in shared else f"{self._EXECUTOR}_{name}": value for name, value in self.params.items()}
        folder, own = options.pop("submitit_folder"), ("slurm_max_num_timeout", "slurm_python")  # not for sbatch
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
        except (FailedJobError, ValueError) as error:  # sbatch or submitit refused the options
            raise UserError(
                f"hydra.launcher: expected options that this machine or cluster accepts; {' '.join(str(error).split())}"
            ) from None
        for job, overrides in zip(jobs, job_overrides, strict=True):
            log.info(f"{job.job_id}: {' '.join(filter_overrides(overrides))}; log: {job.task(0).paths.stderr}")
        return jobs

    def _returned(self, job: "Job[JobReturn]", overrides: list[str]) -> JobReturn:
        """Wait for a job and return its result. For a job of several tasks it is that of a failed task, else of the first."""
        results = []
        for task in (job.task(number) for number in range(job.num_tasks)):
            result = _result(task, overrides)
            if isinstance(result.return_value, Failure):
                note(dataclasses.replace(result.return_value, log=task.paths.stderr))
                return result
            results.append(result)
        return results[0]

    def __call__(self, *args: Any) -> JobReturn:
        """Run a job; called in the job's own process."""
        import submitit

        usr_signal = submitit.JobEnvironment()._usr_sig()
        signal.signal(usr_signal, requeue_handler(signal.getsignal(usr_signal)))  # type: ignore[arg-type]
        result = super().__call__(*args)
        if isinstance(result.return_value, Failure):
            print(result.return_value, file=sys.stderr)
        return result


class LocalLauncher(ReportingLauncher):
    """A launcher of processes on this machine. They are ended when this process is interrupted; runs can be resumed."""

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
        """See ReportingLauncher. Jobs inherit a mask that blocks the terminal's signals; only this process receives them."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
        try:
            return super()._submit(job_overrides, first)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


class SlurmLauncher(ReportingLauncher):
    """A launcher of jobs on a SLURM cluster."""

    _EXECUTOR = "slurm"

    def __call__(self, *args: Any) -> JobReturn:
        """See ReportingLauncher. Where a process is gone there is no result: SLURM queues the job again if its node is down."""
        result = super().__call__(*args)
        if isinstance(result.return_value, Failure) and result.return_value.lost:
            raise SystemExit(1)
        return result

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Raise UserError if jobs cannot be submitted or monitored from this machine."""
        if missing := [name for name in ("sbatch", "srun", "scontrol", "sacct") if shutil.which(name) is None]:
            raise UserError(
                f"hydra/launcher=slurm: expected a machine that submits jobs to SLURM; there is no {missing[0]} on the PATH; "
                "use hydra/launcher=submitit_local, or none, to run the sweep on this machine"
            )
        asked = subprocess.run(["sacct", "--noheader", "--allocations"], capture_output=True, text=True)
        if asked.returncode:  # without sacct, submitit would wait for a killed job without end
            raise UserError(
                f"hydra/launcher=slurm: expected accounting by SLURM; sacct says: {' '.join(asked.stderr.split())}; "
                "ask who runs the cluster, or use hydra/launcher=submitit_local within an allocation"
            )
        self.params["python"] = python_ignoring_signal()
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def _submit(self, job_overrides: Sequence[Sequence[str]], first: int) -> "list[Job[JobReturn]]":
        """See ReportingLauncher."""
        from submitit.slurm.slurm import SlurmJob

        SlurmJob.watcher = watcher()
        return super()._submit(job_overrides, first)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """See ReportingLauncher; the jobs continue when this process is interrupted."""
        sweep = signals.hint()
        signals.set_hint(lambda: f"SLURM goes on with the jobs above (`scancel <id>` stops them); later {sweep}", instead=True)
        returned = super().launch(job_overrides, initial_job_idx)
        signals.set_hint(lambda: sweep, instead=True)
        return returned


def _result(task: "Job[JobReturn]", overrides: list[str]) -> JobReturn:
    """Return the result of a task, or a Failure if it ended without one."""
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
    """Return the ids of all descendants of a process."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:  # the process has ended
        return []
    return [*children, *(each for child in children for each in _descendants(child))]


def _prepare_environment(cpus_per_task: int | None) -> None:
    """Set the environment variables that jobs inherit. PYTHONPATH is not needed if the suite is installed."""
    source = str(Path(__file__).resolve().parents[1])
    if source != sysconfig.get_path("purelib"):
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join([source, *(path for path in paths if path not in ("", source))])
    if cpus_per_task is not None:  # since SLURM 22.05, srun does not inherit it from sbatch
        os.environ["SRUN_CPUS_PER_TASK"] = str(cpus_per_task)
