"""What the commands of analysis/ share: options, one-line errors with exit code 2, and the names of the files written."""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from inspect import cleandoc
from pathlib import Path
from typing import NoReturn

from twosome.errors import UserError, visible
from twosome.report.data import collection
from twosome.report.data.repeats import COUNTED
from twosome.report.data.run import Run
from twosome.report.output.files import FIGURES, check_own
from twosome.report.statistics import smoothing
from twosome.report.statistics.estimates import Bootstrap

Make = Callable[[argparse.Namespace], Iterable[Path]]


class Parser(argparse.ArgumentParser):
    """Reports bad options like any other bad input. Its help begins with what the command does, and examples."""

    about, mark = "", FIGURES

    def format_help(self) -> str:
        """Return the text of --help; argparse calls this."""
        return f"{self.about}\n\n{super().format_help()}"

    def error(self, message: str) -> NoReturn:
        """Raise UserError; argparse calls this."""
        raise UserError(f"{message}; --help lists the options")


def parser(description: str | None, default_out: str = "results", mark: str = FIGURES) -> Parser:
    """Make a command's parser with the options that all commands have.

    description: what the command does, and examples; the beginning of --help. mark: of the folders into which it writes.
    """
    made = Parser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.about, made.mark = cleandoc(description or ""), mark
    made.add_argument("runs", nargs="+", type=Path, help="folders, searched for run folders and for published tables")
    made.add_argument("--out", type=Path, default=Path(default_out), help="folder to write into")
    made.add_argument("--seeds", type=seeds, help="only these seeds, as in 0,1,2; a method that lacks one is an error")
    made.add_argument("--unfinished", action="store_true", help="take unfinished runs as far as they are")
    return made


def add_statistics(made: argparse.ArgumentParser) -> None:
    """Add the options of the statistics."""
    add_evaluations(made)
    made.add_argument("--window", type=positive, default=4096, help="environment steps that a curve's mean looks back over")
    made.add_argument("--stat", choices=("iqm", "mean-std"), default="iqm", help="over seeds: interquartile mean with a "
                      "95%% stratified bootstrap interval, or the paper's mean and population standard deviation")  # fmt: skip
    made.add_argument("--bootstrap-seed", type=natural, default=0, help="of the resampling")
    made.add_argument("--bootstrap-samples", type=positive, default=2000, help="how often to resample")


def add_evaluations(made: argparse.ArgumentParser) -> None:
    """Add the option --evaluations."""
    made.add_argument("--evaluations", choices=COUNTED, default=COUNTED[0], help="which counts where a run "
                      "was evaluated more than once: its own (without one the longest, of equals the latest), or the latest"
                      )  # fmt: skip


def run(made: Parser, make: Make, arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, make the files, print their names; return the exit code.

    2 where the user's input has to change, 1 where a file could not be written although its folder could.
    """
    try:
        options = made.parse_args(arguments)
        check_out(options.out)
        check_own(options.out, made.mark)
        written = list(make(options))
    except UserError as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {visible(f'{error.filename}: {error.strerror}')}; see to it, or name another --out", file=sys.stderr)
        return 1
    for path in written:
        print(f"wrote {visible(str(path))}")
    return 0


def check_out(folder: Path) -> None:
    """Raise UserError where a folder, made if need be, cannot be written into. Leave nothing behind."""
    new: list[Path] = []
    try:
        new = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = "it is a file" if os.path.isfile(folder) else f"cannot be written into ({error.strerror})"
        raise UserError(f"--out {folder}: {why}; expected a folder, which is made if need be; name another") from None
    finally:
        for each in new:
            with contextlib.suppress(OSError):
                each.rmdir()


def read_runs(options: argparse.Namespace, first: Sequence[str] = ()) -> list[Run]:
    """Read the runs that a command line names; warn where a task's window is shorter than --window.

    first: the tasks that come first, in this order.
    """
    if "window" in options:
        smoothing.check_window(options.window)
    which = options.evaluations if "evaluations" in options else COUNTED[0]
    runs = collection.read(options.runs, options.seeds, options.unfinished, which, first)
    if "window" in options:
        smoothing.warn_of_shorter(collection.by_task(collection.without_ablations(runs)), options.window)
    if apart := getattr(options, "ablations", None):
        found = collection.read(apart, options.seeds, options.unfinished, which, first)
        runs += [replace(run, apart=True) for run in found]
    return runs


def add_ablations(made: argparse.ArgumentParser) -> None:
    """Add the option --ablations."""
    made.add_argument("--ablations", nargs="+", type=Path, metavar="FOLDER", help="folders with the runs of ablations, if they "
                      "are kept apart from the others: these are shown as ablations only")  # fmt: skip


def bootstrap(options: argparse.Namespace) -> Bootstrap:
    """Make the bootstrap that a command line describes."""
    return Bootstrap(options.bootstrap_samples, options.bootstrap_seed)


def seeds(text: str) -> tuple[int, ...]:
    """Parse --seeds."""
    try:
        return tuple(sorted({int(word) for word in text.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected integers with commas between them, as in 0,1,2") from None


def positive(text: str) -> int:
    """Parse a count."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer above 0")
    return int(text)


def natural(text: str) -> int:
    """Parse the seed of a generator."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer from 0 on")
    return int(text)
