"""The commands: each composes its file of conf/ by Hydra and calls the library.

Bad input is one line on standard error and exit code 2, a fault during a run (RunError) one line and exit code 1. Hydra reports
its own errors, and everything else is a traceback. The library is imported when a configuration is composed, since PyTorch takes
seconds.
"""

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from twosome.config import CONFIGS
from twosome.errors import RunError, UserError, visible


def command(task: Callable[[DictConfig], Any]) -> Callable[[], Any]:
    """Make a command of a task. Its name is that of its file in conf/, but `run` composes conf/config.yaml."""

    @functools.wraps(task)
    def reported(config: DictConfig) -> Any:
        try:
            return task(config)
        except (UserError, RunError) as error:
            print(visible(f"error: {error}"), file=sys.stderr)
            if HydraConfig.get().mode == RunMode.MULTIRUN:  # the other jobs of the sweep are run; then Hydra reports the error
                raise
            sys.exit(2 if isinstance(error, UserError) else 1)

    name = "config" if task.__name__ == "run" else task.__name__
    return hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)(reported)


@command
def run(config: DictConfig) -> float:
    """Train an agent, or resume a run; return its score."""
    from twosome.experiment.experiment import Experiment

    chosen = HydraConfig.get()
    folder = Path(config.resume or chosen.runtime.output_dir).absolute()
    try:
        return Experiment(config, folder, list(chosen.overrides.task), dict(chosen.runtime.choices)).run()
    except (KeyboardInterrupt, SystemExit):  # Lightning exits after Ctrl-C
        if (folder / "config.yaml").exists():
            print(f"\ninterrupted; go on with: python {sys.argv[0]} {shlex.quote(f'resume={folder}')}", file=sys.stderr)
        raise


@command
def evaluate(config: DictConfig) -> float:
    """Evaluate a trained agent; return the suite's main figure."""
    from twosome.experiment.evaluate import run as evaluate_run

    return evaluate_run(config)


@command
def watch(config: DictConfig) -> None:
    """Write a page on which a trained agent can be watched."""
    from twosome.experiment.watch import run as watch_run

    watch_run(config)


@command
def export(config: DictConfig) -> None:
    """Write what a run learned as a folder for others."""
    from twosome.experiment.export import run as export_run

    export_run(config)


@command
def probe(config: DictConfig) -> None:
    """Print how a language model scores one decision."""
    from twosome.experiment.probe import run as probe_run

    probe_run(config)
