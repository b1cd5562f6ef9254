"""A Hydra sweeper for experiments: several grids in one sweep, each run in a folder that its configuration determines.

Chosen by ``override /hydra/sweeper: grids``; its options are explained in conf/hydra/sweeper/grids.yaml. Launchers are Hydra's.
Hydra imports its plugins at every start: what needs PyTorch is imported when a sweep begins.
"""

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


class GridSweeper(Sweeper):
    """Launches the runs that are not finished, says how it went, and fails if a run did."""

    def __init__(
        self, grids: ListConfig, runs: str, suite: str | ListConfig | None, evaluate: DictConfig, results: str | None
    ) -> None:
        self.grids: list[dict[str, Any]] = OmegaConf.to_container(grids)  # type: ignore[assignment]
        self.runs, self.evaluate = Path(runs).absolute(), evaluate
        self.suites: list[str] = [] if suite is None else [suite] if isinstance(suite, str) else list(suite)
        self.results = None if results is None else Path(results)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher; what it writes itself goes below the folder of the runs."""
        with open_dict(config):
            config.hydra.sweep.dir = str(self.runs)
        self.master, self.loader = config, hydra_context.config_loader
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Do the experiment, narrowed and changed by the words of the command line. Raises UserError if a run failed."""
        from twosome.runs.experiments import Planned, check, combinations, conclude, evaluations

        asked = evaluations(self.suites, self.evaluate)
        given = OverridesParser.create(config_loader=self.loader).parse_overrides(arguments)
        runs, checker = {}, Checker(self.master.hydra.job.config_name, self.master.hydra.searchpath)
        for overrides in map(checker.settled, combinations(self.grids, given)):
            composed = self.loader.load_sweep_config(self.master, overrides)
            run = Planned.at(self.runs, overrides, composed)
            check(run, composed)
            runs[run.name] = run
        jobs = [[*run.overrides, f"hydra.sweep.dir={quoted(str(self.runs))}", f"hydra.sweep.subdir={quoted(run.name)}"]
                for run in runs.values() if run.state != "finished"]  # fmt: skip
        returns = self.launcher.launch(jobs, initial_job_idx=0) if jobs else []
        for job in returns:
            _ = job.return_value  # raises what the job raised
        conclude(list(runs.values()), asked, self.results)
        return returns
