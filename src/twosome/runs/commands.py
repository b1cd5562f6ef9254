"""What to type to go on with what was interrupted, for this interpreter, from here."""

import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from twosome import signals


def resume_command(folder: Path) -> str:
    """Goes on with a run."""
    return f"{_python()} src/run.py {shlex.quote(f'resume={folder}')}"


def sweep_command(folder: Path | None) -> str:
    """Goes on with this process's sweep. folder: of the jobs, to be named; None where a job's place follows from its options."""
    words, option = list(sys.argv), "hydra.sweep.dir"
    options = [number for number, word in enumerate(words) if "=" in word and not word.startswith("-")]
    if folder is not None:
        named = [number for number in options if words[number].lstrip("+").startswith(f"{option}=")]
        for number in reversed(named):
            del words[number]
        place = named[0] if named else options[-1] + 1 if options else len(words)  # beside others: -m may come after them
        words.insert(place, f"{option}={folder}")
    return shlex.join([_python(), *words])


class SweepHint(Callback):
    """Of Hydra: from the start of a sweep on, what interrupts it is told with the command that goes on with all of it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """An experiment's runs lie where their configuration says, those of other sweeps in a folder that is new each time."""
        chosen = config.hydra.runtime.choices["hydra/sweeper"]
        folder = None if chosen == "grids" else Path(config.hydra.sweep.dir)
        signals.suggest(lambda: f"go on with: {sweep_command(folder)}")


def _python() -> str:
    python = Path(sys.executable)
    return str(python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python)
