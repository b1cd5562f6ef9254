"""The part that all commands share: calling Hydra, and printing errors as one line with an exit code."""

import contextlib
import errno
import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from twosome import libraries, signals
from twosome.called import adapt_commands
from twosome.cli.commandline import words_and_mode
from twosome.cli.help import compose, help_text
from twosome.config import CONFIGS, expected
from twosome.errors import LostProcess, RunError, UserError, disk_error, folded, unknown_choice
from twosome.failures import Failure, note, report

Task = Callable[[DictConfig], Any]
NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.EEXIST)
BAD_INPUT = (UserError, HydraException, OmegaConfBaseException)

OmegaConf.register_new_resolver("run_dir", lambda resume, default: resume if resume and Path(str(resume)).is_dir() else default)


@signals.unwinding()
def entry(config_name: str, task: Task, description: str, reword: Callable[[str], str] = str) -> NoReturn:
    """Run a command: compose conf/<config_name>.yaml with the command line, run the task, exit.

    description: the beginning of --help: what the command does, and three examples.
    reword: converts a word of the command line that Hydra's grammar would not read as intended.

    Exit codes are 0 for success, 2 for bad input (one line per job), 1 for any other failure, and 128 + the signal after SIGINT,
    SIGTERM and SIGHUP (`twosome.signals`). A failure is one line if its error has one (RunError, a full disk), else a traceback.
    In a sweep a failed job does not stop the others. A folder in which a job wrote nothing is removed. HYDRA_FULL_ERROR=1 shows
    all tracebacks.
    """
    libraries.install()
    full_error = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
    jobs: list[DictConfig] = []
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its own exceptions instead of printing them
    try:
        _start([reword(word) for word in sys.argv[1:]], _guarded(task, full_error, jobs), config_name, description)
    except Exception as error:
        signals.check()
        no_folder = not jobs and isinstance(error, OSError) and error.errno in NO_FOLDER
        shown = _no_folder(error) if no_folder else line_error(error)
        if full_error or not shown:
            raise
        note(Failure("", one_line(shown), isinstance(shown, BAD_INPUT)))
    sys.exit(report())


def _guarded(task: Task, full_error: bool, jobs: list[DictConfig]) -> Task:
    """Wrap the task of one job so that it returns a Failure if it fails.

    full_error: raise the error instead. jobs: a list to which the configuration of each job that begins is appended.
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
            return note(failure(error))  # returned, since a job may run on another machine than the sweep
        finally:
            remove_if_empty(Path(HydraConfig.get().runtime.output_dir))

    return guarded


def _start(words: list[str], job: Task, config_name: str, description: str) -> None:
    """Print the help, or run the job by Hydra."""
    sys.argv[1:], mode = words_and_mode(words, config_name)
    flags = get_args_parser().parse_args(sys.argv[1:])
    if flags.help:
        _show(help_text(compose(config_name, flags), adapt_commands(description)))
    else:
        with _knowing(mode):
            hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(job)()


@contextlib.contextmanager
def _knowing(mode: RunMode | None) -> Iterator[None]:
    """Answer for Hydra whether to run a sweep: it would compose the whole configuration once more to find out."""
    kept = Hydra.get_mode
    Hydra.get_mode = lambda *_, **__: mode  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = kept  # type: ignore[method-assign]


def _show(text: str) -> None:
    """Print a long text; ignore a closed pipe, as from ``| head``."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # stdout is flushed once more at exit


def in_sweep() -> bool:
    """Return whether this job is part of a sweep."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def check_launcher() -> None:
    """Raise UserError if a launcher or a sweeper was chosen without a sweep, since Hydra would ignore it."""
    for group in ("launcher", "sweeper"):
        chosen = HydraConfig.get().runtime.choices[f"hydra/{group}"]
        if chosen != "basic" and not in_sweep():
            raise UserError(f"hydra/{group}={chosen}: expected -m with it; a run without -m uses no {group}")


def failure(error: Exception) -> Failure:
    """Convert this job's error to a Failure."""
    job, shown = " ".join(HydraConfig.get().overrides.task) if in_sweep() else "", line_error(error)
    message = one_line(shown or error)
    text = message if shown else f"{type(error).__name__}: {message}"
    return Failure(job, text, isinstance(shown, BAD_INPUT), lost=isinstance(shown, LostProcess))


def _no_folder(error: Any) -> UserError:
    """Return the error for a folder of a job or a sweep that Hydra cannot create. error: an OSError."""
    option = "hydra.sweep.dir" if {"-m", "--multirun"} & set(sys.argv) else "hydra.run.dir"
    return UserError(f"{option}: {error.filename}: {error.strerror}; expected a folder that can be made there; name another")


def line_error(error: Exception) -> Exception | None:
    """Return the error that can be reported by one line; None if a traceback is needed."""
    if isinstance(error, (RunError, *BAD_INPUT)):  # checked first: one of Hydra's errors is an OSError
        return error
    return disk_error(error) if isinstance(error, OSError) else None


def remove_if_empty(folder: Path) -> None:
    """Remove a job's folder if it is empty, and then its empty parents below the current folder."""
    with contextlib.suppress(OSError):  # the folder is not empty, or may not be removed
        while folder != Path.cwd():
            folder.rmdir()
            if not (folder := folder.parent).is_relative_to(Path.cwd()):
                return


def one_line(error: Exception) -> str:
    """Return an error's message on one line; Hydra's messages of several lines are joined."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return str(unknown_choice(group, choice, error.options))
    text, cause = " ".join(str(error).split()), error.__cause__
    if not isinstance(error, HydraException) or not isinstance(cause, OmegaConfBaseException):
        return text
    if isinstance(cause, ValidationError) and cause.child_node is not None:  # an option of Hydra's own, which has a type
        return f"{text.removeprefix('Error merging override ')}: expected {expected(cause.child_node._metadata.ref_type)}"
    return f"{text}: {folded(cause)}".removeprefix(": ")
