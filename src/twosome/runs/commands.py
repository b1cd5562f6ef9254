"""What to type to go on with what was interrupted, for this interpreter, from here."""

import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from twosome import signals
from twosome.called import PREFIX, SOURCES, installed


def command(name: str) -> list[str]:
    """The words that call one of the suite's commands (run, evaluate, ...): a script of the checkout, or an installed command."""
    if not installed():
        return [_near(Path(sys.executable)), _near(SOURCES / f"{name}.py")]
    called = Path(sys.argv[0])
    folder = called.parent if called.name.startswith(PREFIX) else Path(sysconfig.get_path("scripts"))
    script = folder / f"{PREFIX}{name}"
    return [script.name if shutil.which(script.name) == str(script) else _near(script)]


def resume_command(folder: Path) -> str:
    """Goes on with a run."""
    return shlex.join([*command("run"), f"resume={folder}"])


def sweep_command(folder: Path | None) -> str:
    """Goes on with this process's sweep. folder: of the jobs, to be named; None where a job's place follows from its options."""
    words, option = sys.argv[1:], "hydra.sweep.dir"
    options = [number for number, word in enumerate(words) if "=" in word and not word.startswith("-")]
    if folder is not None:
        named = [number for number in options if words[number].lstrip("+").startswith(f"{option}=")]
        for number in reversed(named):
            del words[number]
        place = named[0] if named else options[-1] + 1 if options else len(words)  # beside others: -m may come after them
        words.insert(place, f"{option}={folder}")
    return shlex.join([*command(Path(sys.argv[0]).stem.removeprefix(PREFIX)), *words])


class SweepHint(Callback):
    """Of Hydra: from the start of a sweep on, what interrupts it is told with the command that goes on with all of it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """An experiment's runs lie where their configuration says, those of other sweeps in a folder that is new each time."""
        chosen = config.hydra.runtime.choices["hydra/sweeper"]
        folder = None if chosen == "grids" else Path(config.hydra.sweep.dir)
        signals.suggest(lambda: f"go on with: {sweep_command(folder)}")


def _near(path: Path) -> str:
    """A path from here, where it is below the current folder."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
