"""The shell commands that continue an interrupted run or sweep, for this interpreter and the current folder."""

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from twosome import signals
from twosome.called import PREFIX, SOURCES, installed
from twosome.runs.trust import foreign


def command(name: str) -> list[str]:
    """Return the words that call a command of the suite (run, evaluate, ...): a checkout's script or an installed command."""
    if not installed():
        return [_relative(Path(sys.executable)), _relative(SOURCES / f"{name}.py")]
    called = Path(sys.argv[0])
    folder = called.parent if called.name.startswith(PREFIX) else Path(sysconfig.get_path("scripts"))
    script = folder / f"{PREFIX}{name}"
    return [script.name if shutil.which(script.name) == str(script) else _relative(script)]


def resume_command(folder: Path, config: DictConfig | None = None) -> str:
    """Return the command that resumes a run.

    config: that of this process's own run. The user has allowed what it names, also from outside the suite.
    """
    words = [*command("run"), f"resume={folder}"]
    if config is not None:
        # Processes of trainer=fsdp other than the first get their configuration from it.
        for source in HydraConfig.get().runtime.config_sources if HydraConfig.initialized() else ():
            if source.provider == "command-line":
                words += ["--config-dir", _relative(Path(source.path))]
        if config.trust or any(foreign(config)):
            path = os.environ.get("PYTHONPATH")  # it may have been set for one command only
            words = [*(["env", f"PYTHONPATH={path}"] if path else []), *words, "trust=true"]
    return shlex.join(words)


def sweep_command(folder: Path | None) -> str:
    """Return the command that continues this process's sweep.

    folder: the folder of the jobs, to be added to the command; None if a job's folder follows from its options.
    """
    words, option = sys.argv[1:], "hydra.sweep.dir"
    options = [number for number, word in enumerate(words) if "=" in word and not word.startswith("-")]
    if folder is not None:
        named = [number for number in options if words[number].lstrip("+").startswith(f"{option}=")]
        for number in reversed(named):
            del words[number]
        place = named[0] if named else options[-1] + 1 if options else len(words)  # next to other options: -m may follow them
        words.insert(place, f"{option}={folder}")
    return shlex.join([*command(Path(sys.argv[0]).stem.removeprefix(PREFIX)), *words])


class SweepHint(Callback):
    """A Hydra callback that sets the command for continuing an interrupted sweep."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Set the hint. The folders of an experiment's runs follow from their options; other sweeps use a new folder."""
        chosen = config.hydra.runtime.choices["hydra/sweeper"]
        folder = None if chosen == "grids" else Path(config.hydra.sweep.dir)
        signals.set_hint(lambda: f"go on with: {sweep_command(folder)}")


def _relative(path: Path) -> str:
    """Return a path as text, relative to the current folder if it is below it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
