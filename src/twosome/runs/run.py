"""Do one run, from its configuration to a finished run folder."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from twosome import signals
from twosome.distributed.config import FSDPConfig
from twosome.errors import ContractError, RunError, UserError, disk_error
from twosome.runs.commands import resume_command
from twosome.runs.job import Job
from twosome.runs.resume import resumed_config, same_config
from twosome.storage.folder import RunFolder
from twosome.storage.lock import locked

if TYPE_CHECKING:
    from twosome.distributed.processes import Processes, RankInfo

NOTHING = f"nothing was written yet; {signals.AGAIN}"


def run(config: DictConfig) -> float:
    """Train, evaluate and export an agent, or resume the run that ``resume`` names or that this job's folder holds.

    Returns the sampled policy's mean discounted return at the end (nan without an evaluation). Raises UserError for bad
    input before anything is computed or written.
    """
    if config.resume == "":
        raise UserError("resume=: expected the folder of a run, as in resume=outputs/2026-01-31/12-00-00")
    folder = RunFolder(Path(HydraConfig.get().runtime.output_dir if config.resume is None else str(config.resume)).absolute())
    if config.resume is not None:
        config = resumed_config(config, folder, list(HydraConfig.get().overrides.task))
    elif folder.started:
        config = same_config(config, folder)
    job = Job.checked(config, folder)
    if config.resume is not None and folder.done:
        print(f"{folder.path}: finished already", file=sys.stderr)
        return job.score()
    from twosome.distributed.processes import RankInfo, rank_info  # PyTorch takes seconds to import; the input is checked first
    from twosome.storage import checkpoints  # noqa: F401  (imports Lightning, before there is an agent; see twosome.libraries)

    info = rank_info(job.fsdp) if job.fsdp else RankInfo()
    if job.fsdp and info.rank > 0:  # started by srun or torchrun
        return run_other_rank(job.fsdp, info)
    if config.resume is None:
        hydra = HydraConfig.get()  # which may have been told to write files there
        folder.check_new(f"{hydra.job.name}.log", hydra.output_subdir or "")
    with resume_hint(folder, config, job.fsdp), _processes(job, info) as processes, locked(folder.path):
        if processes:
            processes.broadcast_object((OmegaConf.to_yaml(config, resolve=True), folder.path))
        job = replace(job, processes=processes)
        agent = job.agent()
        if config.resume is None:
            folder.start(config, list(HydraConfig.get().overrides.task), dict(HydraConfig.get().runtime.choices))
        job.execute(agent)
    return job.score()


def _processes(job: Job, info: "RankInfo") -> "contextlib.AbstractContextManager[Processes | None]":
    """Join the process group of the run; None for one process."""
    from twosome.distributed.processes import process_group

    return process_group(job.fsdp, info) if job.fsdp else contextlib.nullcontext()


@contextlib.contextmanager
def resume_hint(folder: RunFolder, config: DictConfig, fsdp: FSDPConfig | None = None) -> Iterator[None]:
    """Report an interruption or a fault within the context, with the command that resumes the run or its sweep."""
    hint = _hint(folder, config, fsdp)
    signals.set_hint(lambda: hint if folder.started else NOTHING)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # a launcher's job handles signals itself; Lightning turns Ctrl-C into SystemExit
        signals.report()
        raise
    except (RunError, ContractError, OSError) as error:
        fault = disk_error(error, folder.path) if isinstance(error, OSError) else error
        if fault is None or not folder.started:
            raise
        raise type(fault)(f"{fault}; then {hint}") from error


def _hint(folder: RunFolder, config: DictConfig, fsdp: FSDPConfig | None) -> str:
    """Return how to resume this process's run."""
    where = ", started on every node as before," if fsdp and fsdp.num_nodes > 1 else ""
    return f"go on{where} with: {resume_command(folder.path, config)}"


def run_other_rank(config: FSDPConfig, info: "RankInfo") -> float:
    """Do the same as rank 0 of ``trainer=fsdp``, without output and in a temporary folder. Rank 0 writes the run's folder."""
    from twosome.distributed.processes import process_group

    with (
        tempfile.TemporaryDirectory(prefix="twosome-") as scratch,
        process_group(config, info, Path(scratch)) as processes,
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        options, path = processes.broadcast_object()
        hint = _hint(RunFolder(path), OmegaConf.create(options), config)
        signals.set_hint(lambda: hint)
        folder = RunFolder(Path(scratch))
        folder.checkpoints.symlink_to(path / folder.checkpoints.name, target_is_directory=True)
        job = replace(Job.checked(OmegaConf.create(options), folder), processes=processes)
        job.execute(job.agent())
        return job.score()
