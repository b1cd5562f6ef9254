"""A Hydra sweeper for experiments: several grids in one sweep, each run in a folder that follows from its configuration.

It is selected by ``override /hydra/sweeper: grids``. Its options are explained in conf/hydra/sweeper/grids.yaml. Any of Hydra's
launchers can be used. Hydra imports its plugins at every start, so modules that need PyTorch are imported when a sweep begins.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from twosome.cli.grammar import quoted
from twosome.cli.options import Checker
from twosome.errors import unknown_choice


def listed(grids: Any, bases: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the grids of a list, of lists by name, or of None; one that names bases once for each. Raises UserError."""
    every = [grid for each in grids.values() for grid in each] if isinstance(grids, dict) else grids or []
    return [own for grid in every for own in _on_bases(grid, bases)]


def _on_bases(grid: Mapping[str, Any], bases: Mapping[str, Any]) -> list[dict[str, Any]]:
    own = {name: value for name, value in grid.items() if name != "base"}
    names = grid.get("base")
    if names is None:
        return [own]
    names = names if isinstance(names, list) else [names]
    if unknown := [name for name in names if name not in bases]:
        raise unknown_choice("hydra.sweeper.grids: base", unknown[0], bases)
    return [{**bases[name], **own} for name in names]


class GridSweeper(Sweeper):
    """A sweeper that launches the unfinished runs, prints the state of each run, and fails if a run failed."""

    def __init__(
        self, grids: ListConfig | DictConfig, bases: DictConfig, runs: str, suite: str | ListConfig | None, evaluate: DictConfig,
        results: str | None,
    ) -> None:  # fmt: skip
        self.grids = listed(OmegaConf.to_container(grids), {str(name): OmegaConf.to_container(bases[name]) for name in bases})
        self.runs, self.evaluate = Path(runs).absolute(), evaluate
        self.suites: list[str] = [] if suite is None else [suite] if isinstance(suite, str) else list(suite)
        self.results = None if results is None else Path(results)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher; its own files go below the folder of the runs."""
        with open_dict(config):
            config.hydra.sweep.dir = str(self.runs)
        self.master, self.loader = config, hydra_context.config_loader
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the experiment. arguments: words that select runs or set options. Raises UserError if a run failed."""
        from twosome.runs.experiments import Planned, check, combinations, conclude, evaluations

        asked = evaluations(self.suites, self.evaluate)
        given = OverridesParser.create(config_loader=self.loader).parse_overrides(arguments)
        runs, checker = {}, Checker(self.master.hydra.job.config_name, self.master.hydra.searchpath)
        for overrides in map(checker.normalized, combinations(self.grids, given)):
            composed = self.loader.load_sweep_config(self.master, overrides)
            run = Planned.at(self.runs, overrides, composed)
            check(run, composed)
            runs[run.name] = run
        jobs = [[*run.overrides, f"hydra.sweep.dir={quoted(str(self.runs))}", f"hydra.sweep.subdir={quoted(run.name)}"]
                for run in runs.values() if run.state != "finished"]  # fmt: skip
        returns = self.launcher.launch(jobs, initial_job_idx=0) if jobs else []
        for job in returns:
            _ = job.return_value  # raises the job's error
        conclude(list(runs.values()), asked, self.results)
        return returns
