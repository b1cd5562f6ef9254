"""What the entries share: Hydra, and errors as one line with exit code 2."""

import contextlib
import functools
import os
import re
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from twosome import signals
from twosome.config import CONFIGS, expected, leaves
from twosome.errors import RunError, UserError, disk_error, unknown_choice
from twosome.failures import Failure, note, report
from twosome.help import help_text

Task = Callable[[DictConfig], Any]
BAD_INPUT = (UserError, HydraException, OmegaConfBaseException)

OmegaConf.register_new_resolver("run_dir", lambda resume, default: resume if resume and Path(resume).is_dir() else default)


def entry(config_name: str, reword: Callable[[str], str] = str) -> Callable[[Task], Callable[[], None]]:
    """Make a task the main function of a script: composes conf/<config_name>.yaml, runs the task, exits.

    --help begins with the script's docstring: what it does, and three examples.
    reword: from a word of the command line to what Hydra is to read in its place, where Hydra's grammar is a hindrance.
    Exit codes: 0; 2 with one line for each job that bad input ended; 1 where a job came to grief otherwise, with one line where
    what happened has one (RunError, a full disk); 128 + the signal after SIGINT, SIGTERM and SIGHUP (`twosome.signals`). In a
    sweep a failed job does not stop the others. A folder in which a job wrote nothing is removed. HYDRA_FULL_ERROR=1 shows
    tracebacks.
    """

    def decorate(task: Task) -> Callable[[], None]:
        @functools.wraps(task)
        @signals.unwinding()
        def main() -> None:
            full_error = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's own exceptions reach us instead of being printed

            @functools.wraps(task)
            def guarded(config: DictConfig) -> Any:
                try:
                    check_launcher()
                    return task(config)
                except Exception as error:
                    signals.check()
                    told = _told(error)
                    if full_error or not (told or in_sweep()):
                        raise
                    if not told:
                        traceback.print_exception(error)
                    return note(failure(error, config_name))  # returned, since this may be another machine than the sweep's
                finally:
                    _remove_if_empty(Path(HydraConfig.get().runtime.output_dir))

            sys.argv[1:] = map(reword, sys.argv[1:])
            try:
                _start(guarded, config_name, task.__globals__["__doc__"])
            except Exception as error:
                signals.check()
                if full_error or not (told := _told(error)):
                    raise
                note(Failure("", one_line(told, config_name), isinstance(told, BAD_INPUT)))
            sys.exit(report())

        return main

    return decorate


def _start(job: Task, config_name: str, description: str) -> None:
    """Do what the command line says: print the help, or have Hydra run the job."""
    flags = _flags(sys.argv[1:])
    if flags.help:
        _show(help_text(config_name, flags, description))
    else:
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(job)()


def _flags(words: list[str]) -> Namespace:
    """The command line as Hydra reads it. Raises UserError for a flag that it does not have; it would print its usage."""
    flags, unknown = get_args_parser().parse_known_args(words)
    if unknown:
        raise UserError(f"{unknown[0]}: expected options as <option>=<value>, as in norm=word; --help lists them")
    return flags


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


def failure(error: Exception, config_name: str) -> Failure:
    """What this job's error is for the report."""
    job, told = " ".join(HydraConfig.get().overrides.task) if in_sweep() else "", _told(error)
    message = one_line(told or error, config_name)
    return Failure(job, message if told else f"{type(error).__name__}: {message}", isinstance(told, BAD_INPUT))


def _told(error: Exception) -> Exception | None:
    """The error that one line tells in full; None where a traceback is needed."""
    if isinstance(error, (RunError, *BAD_INPUT)):  # first: one of Hydra's is an OSError
        return error
    if isinstance(error, ValueError) and str(error).startswith("Config group override"):  # Hydra's, of a group that is null
        return HydraException(str(error))
    return disk_error(error) if isinstance(error, OSError) else None


def _remove_if_empty(folder: Path) -> None:
    """Remove a job's folder if the job left nothing in it, and then those around it that are empty below the current one."""
    with contextlib.suppress(OSError):  # not empty, or not ours to remove
        folder.rmdir()
        while (folder := folder.parent) != Path.cwd() and folder.is_relative_to(Path.cwd()):
            folder.rmdir()


def one_line(error: Exception, config_name: str = "config") -> str:
    """What to tell a user: our own line, or Hydra's many lines folded to one that says what to write instead.

    config_name: the configuration whose options there are.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        if error.options:
            return str(unknown_choice(group, choice, error.options))
    text = " ".join(str(error).split())
    if isinstance(error.__cause__, ValidationError):  # of one of Hydra's own options
        return f"{text.removeprefix('Error merging override ')}: expected {expected(error.__cause__)}"
    if match := re.search(r"In '(\w+)/(\w+)': Could not override '(\w+)[@']", text):
        return f"{match[1]}={match[2]}: expected another {match[1]} in this command, which has no {match[3]}; leave the word out"
    if match := re.search(r"Error parsing override '(.*?)' (.*?)( See https.*)?$", text):
        return f"{match[1]}: expected <option>=<value> in Hydra's grammar ({match[2]}); quote a value that has more than words"
    if match := re.search(r"Ambiguous value for argument '(.*?)'", text):
        return f"{match[1]}: expected one value; several are a sweep, with -m, and a list has brackets: [one,two]"
    if "Config group override must be" in text:
        words = " ".join(word for word in sys.argv if word.endswith(("=null", "=")))
        return f"{words}: expected the name of a choice of the group; --help lists them"
    if match := re.search(r"Could not (?:override|append to config\. An item is already at) '(\S+?)'", text):
        return _unknown_option(match[1], config_name)
    return text


def _unknown_option(key: str, config_name: str) -> str:
    """The nearest option to one that does not exist."""
    chosen = [word for word in sys.argv[1:] if word.startswith("hydra/")]  # such as a launcher: its options are Hydra's
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = hydra.compose(config_name, chosen, return_hydra_config=bool(chosen))
    paths = (name.split(".") for name, _ in leaves(OmegaConf.to_container(config, resolve=False)))
    names = list(dict.fromkeys(".".join(path[:length]) for path in paths for length in range(1, len(path) + 1)))
    group = key.partition(".")[0]
    if homes := [path for path in sorted(CONFIGS.glob("*/*.yaml")) if f"/{group}@" in path.read_text()]:
        where = " or ".join(f"{path.parent.name}={path.stem}" for path in homes)
        return f"{key}: no such option here; it comes with {where}, and conf/{group} holds its choices and their options"
    if key in names:
        return f"{key}: expected its options one by one, as in {key}.<option>=...; there is no choice of a whole {key}"
    near = get_close_matches(key, names, n=1) or get_close_matches(key, [n for n in names if n.endswith(key)], n=1)
    hint = f"; did you mean {near[0]}?" if near else "; `--help` lists the options"
    return f"{key}: no such option{hint}"
