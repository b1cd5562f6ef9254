"""What the entries share: Hydra, and errors as one line with exit code 2."""

import contextlib
import errno
import functools
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from twosome import signals
from twosome.called import as_called
from twosome.cli.commandline import prepared
from twosome.cli.help import help_text
from twosome.config import CONFIGS, expected
from twosome.errors import RunError, UserError, disk_error, folded, unknown_choice
from twosome.failures import Failure, note, report

Task = Callable[[DictConfig], Any]
NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.EEXIST)
BAD_INPUT = (UserError, HydraException, OmegaConfBaseException)

OmegaConf.register_new_resolver("run_dir", lambda resume, default: resume if resume and Path(str(resume)).is_dir() else default)


@signals.unwinding()
def entry(config_name: str, task: Task, description: str, reword: Callable[[str], str] = str) -> NoReturn:
    """Do what the command line says: compose conf/<config_name>.yaml, run the task, exit.

    description: what --help begins with: what the command does, and three examples.
    reword: from a word of the command line to what Hydra is to read in its place, where Hydra's grammar is a hindrance.
    Exit codes: 0; 2 with one line for each job that bad input ended; 1 where a job came to grief otherwise, with one line where
    what happened has one (RunError, a full disk); 128 + the signal after SIGINT, SIGTERM and SIGHUP (`twosome.signals`). In a
    sweep a failed job does not stop the others. A folder in which a job wrote nothing is removed. HYDRA_FULL_ERROR=1 shows
    tracebacks.
    """
    full_error = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
    jobs: list[DictConfig] = []
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's own exceptions reach us instead of being printed
    try:
        _start([reword(word) for word in sys.argv[1:]], _guarded(task, full_error, jobs), config_name, description)
    except Exception as error:
        signals.check()
        unmade = not jobs and isinstance(error, OSError) and error.errno in NO_FOLDER
        shown = _no_folder(error) if unmade else line_error(error)
        if full_error or not shown:
            raise
        note(Failure("", one_line(shown), isinstance(shown, BAD_INPUT)))
    sys.exit(report())


def _guarded(task: Task, full_error: bool, jobs: list[DictConfig]) -> Task:
    """The task of one job, which returns a Failure where it fails.

    full_error: raise the error instead. jobs: a list, which gets the configuration of each job that begins.
    """

    @functools.wraps(task)
    def guarded(config: DictConfig) -> Any:
        jobs.append(config)
        try:
            check_launcher()
            return task(config)
        except Exception as error:
            signals.check()
            shown = line_error(error)
            if full_error or not (shown or in_sweep()):
                raise
            if not shown:
                traceback.print_exception(error)
            return note(failure(error))  # returned, since this may be another machine than the sweep's
        finally:
            remove_if_empty(Path(HydraConfig.get().runtime.output_dir))

    return guarded


def _start(words: list[str], job: Task, config_name: str, description: str) -> None:
    """Do what the command line says: print the help, or have Hydra run the job."""
    sys.argv[1:] = prepared(words, config_name)
    flags = get_args_parser().parse_args(sys.argv[1:])
    if flags.help:
        _show(help_text(config_name, flags, as_called(description)))
    else:
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(job)()


def _show(text: str) -> None:
    """Print a long text, of which ``| head`` may read the beginning only."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # it is flushed once more at the end


def in_sweep() -> bool:
    """Whether this job is one of a multirun's."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def check_launcher() -> None:
    """Raise UserError where a launcher was chosen for what is no sweep: Hydra would pass over it."""
    launcher = HydraConfig.get().runtime.choices["hydra/launcher"]
    if launcher != "basic" and not in_sweep():
        raise UserError(f"hydra/launcher={launcher}: expected -m beside it; without, the run is done here, by no launcher")


def failure(error: Exception) -> Failure:
    """What this job's error is for the report."""
    job, shown = " ".join(HydraConfig.get().overrides.task) if in_sweep() else "", line_error(error)
    message = one_line(shown or error)
    return Failure(job, message if shown else f"{type(error).__name__}: {message}", isinstance(shown, BAD_INPUT))


def _no_folder(error: Any) -> UserError:
    """Hydra cannot make the folder of a job or of a sweep. error: an OSError."""
    option = "hydra.sweep.dir" if {"-m", "--multirun"} & set(sys.argv) else "hydra.run.dir"
    return UserError(f"{option}: {error.filename}: {error.strerror}; expected a folder that can be made there; name another")


def line_error(error: Exception) -> Exception | None:
    """The error that one line tells in full; None where a traceback is needed."""
    if isinstance(error, (RunError, *BAD_INPUT)):  # first: one of Hydra's is an OSError
        return error
    return disk_error(error) if isinstance(error, OSError) else None


def remove_if_empty(folder: Path) -> None:
    """Remove a job's folder if the job left nothing in it, and then those around it that are empty below the current one."""
    with contextlib.suppress(OSError):  # not empty, or not ours to remove
        while folder != Path.cwd():
            folder.rmdir()
            if not (folder := folder.parent).is_relative_to(Path.cwd()):
                return


def one_line(error: Exception) -> str:
    """What to tell a user: our own line, or Hydra's many lines folded to one."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return str(unknown_choice(group, choice, error.options))
    text, cause = " ".join(str(error).split()), error.__cause__
    if not isinstance(error, HydraException) or not isinstance(cause, OmegaConfBaseException):
        return text
    if isinstance(cause, ValidationError) and cause.child_node is not None:  # one of Hydra's own options, which have types
        return f"{text.removeprefix('Error merging override ')}: expected {expected(cause.child_node._metadata.ref_type)}"
    return f"{text}: {folded(cause)}".removeprefix(": ")
