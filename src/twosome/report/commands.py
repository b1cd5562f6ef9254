"""The commands of analysis/: their options, the runs that they read, and errors in one line."""

import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from twosome.errors import UserError, visible
from twosome.report import runs
from twosome.report.output import FIGURES, Folder
from twosome.report.paper import Paper
from twosome.report.records import BIN, COUNTED
from twosome.report.runs import Run
from twosome.report.statistics import AXES, STEPS


class Given(NamedTuple):
    """What a command's tables and figures are made of, and the folder for them."""

    runs: Sequence[Run]
    paper: Paper
    options: Namespace
    out: Folder


Make = Callable[[Given], None]  # raises UserError where tables and figures cannot be made of these runs


def window(text: str) -> int:
    """Parse --window."""
    if not text.isdecimal() or int(text) < 1 or int(text) % BIN:
        raise ArgumentTypeError(f"{text!r}: expected a multiple of {BIN}")
    return int(text)


OPTIONS: dict[str, dict[str, Any]] = {
    "seeds": {"type": lambda text: sorted({int(word) for word in text.split(",")}), "help": "only these, as in 0,1,2"},
    "unfinished": {"action": "store_true", "help": "take unfinished runs as far as they are"},
    "evaluations": {"choices": COUNTED, "default": COUNTED[0], "help": "which counts where a run was evaluated more than once: "
                    "its own (without one the longest, of equals the latest), or the latest"},
    "window": {"type": window, "default": 4096, "help": "environment steps that a curve's mean looks back over"},
    "stat": {"choices": ("iqm", "mean-std"), "default": "iqm", "help": "over seeds: interquartile mean with a 95%% stratified "
             "bootstrap interval, or the paper's mean and population standard deviation"},
    "bootstrap-seed": {"type": int, "default": 0, "help": "of the resampling"},
    "bootstrap-samples": {"type": int, "default": 2000, "help": "how often to resample"},
    "ablations": {"nargs": "+", "type": Path, "metavar": "FOLDER", "help": "folders with the runs of ablations, if they are kept "
                  "apart from the others: these are shown as ablations only"},
    "no-paper": {"dest": "paper", "action": "store_false", "help": "without the paper's points"},
    "against": {"choices": AXES, "default": STEPS.name, "help": "the x-axis"},
    "mode": {"choices": ("sampled", "greedy"), "default": "sampled", "help": "how the agents choose actions"},
    "method": {"default": "twosome-word", "help": "whose agents; the paper's have the word norm"},
}  # fmt: skip
STATISTICS = ("evaluations", "window", "stat", "bootstrap-seed", "bootstrap-samples")


class Formatter(ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter):
    """Shows the script's docstring as it is, and the options' defaults."""


class Command:
    """A script of analysis/: reads the runs that its command line names, and writes their tables and figures.

    script: its path; paper.yaml, the papers' numbers, is beside it. about: its docstring. options: of OPTIONS, besides those that
    all commands have. out: the default folder. mark: of the folders into which it writes.
    """

    def __init__(
        self, script: str, about: str | None, make_of: Make, *options: str, out: str = "results", mark: str = FIGURES
    ) -> None:
        self.script, self.about, self.make_of, self.options, self.out, self.mark = script, about, make_of, options, out, mark

    def parser(self) -> ArgumentParser:
        """Make the parser of the command's options."""
        made = ArgumentParser(description=self.about, formatter_class=Formatter)
        made.add_argument("runs", nargs="+", type=Path, help="folders, searched for run folders and for published tables")
        made.add_argument("--out", type=Path, default=Path(self.out), help="folder to write into")
        for name in ("seeds", "unfinished", *self.options):
            made.add_argument(f"--{name}", **OPTIONS[name])
        return made

    def make(self, options: Namespace) -> list[Path]:
        """Write the files; return their paths. Raises UserError, as reading runs and make_of do."""
        out, paper = Folder(options.out, self.mark), Paper.read(Path(self.script).with_name("paper.yaml"))
        how = {"seeds": options.seeds, "unfinished": options.unfinished, "first": paper.tasks}
        found = runs.read(options.runs, **how)
        if getattr(options, "ablations", None):
            found += [replace(run, apart=True) for run in runs.read(options.ablations, **how)]
        if "evaluations" in options:
            found = [run.counted(options.evaluations) for run in found]
        self.make_of(Given(found, paper, options, out))
        return out.paths

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the command; return its exit code: 2 where the user's input has to change, 1 where a file cannot be written."""
        options = self.parser().parse_args(arguments)
        try:
            paths = self.make(options)
        except (UserError, OSError) as error:
            print(f"error: {visible(str(error))}", file=sys.stderr)
            return 2 if isinstance(error, UserError) else 1
        for path in paths:
            print(f"wrote {visible(str(path))}")
        return 0
