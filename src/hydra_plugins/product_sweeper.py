"""A sweeper over all combinations of the listed values, as Hydra's own, with three differences.

Jobs with equal configurations are run once. The words of all jobs are checked before the first one begins. No multirun.yaml is
written, since the runs' own files hold more.
"""

import sys
from dataclasses import dataclass

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from twosome.cli.options import Checker
from twosome.errors import UserError


@dataclass
class ProductConf:
    """The configuration of the sweeper, which has no options."""

    _target_: str = f"{__name__}.ProductSweeper"


class ProductSweepers(SearchPathPlugin):
    """A plugin that replaces Hydra's sweeper, hydra/sweeper=basic, by the one below after Hydra has imported all plugins."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Leave the search path as it is."""
        ConfigStore.instance().store(group="hydra/sweeper", name="basic", node=ProductConf, provider=__name__)


class ProductSweeper(Sweeper):
    """A sweeper that launches each distinct job."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher."""
        self.master, self.loader = config, hydra_context.config_loader
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Run the jobs; raise UserError if one of them cannot be composed."""
        overrides = OverridesParser.create(config_loader=self.loader).parse_overrides(arguments)
        (jobs,) = BasicSweeper.split_arguments(overrides, None)
        checker = Checker(self.master.hydra.job.config_name, self.master.hydra.searchpath)
        distinct: dict[str, list[str]] = {}
        for words in map(checker.normalized, jobs):
            config = self.loader.load_sweep_config(self.master, words)
            if config.hydra.sweeper._target_ != self.master.hydra.sweeper._target_:
                raise UserError(f"{' '.join(words)}: expected no experiment that is a sweep itself, as one job of a sweep")
            options = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
            distinct.setdefault(OmegaConf.to_yaml(options), words)
        if len(distinct) < len(jobs):
            print(f"{len(jobs)} jobs, {len(distinct)} of them different: equal ones are done once", file=sys.stderr)
        returns = self.launcher.launch(list(distinct.values()), initial_job_idx=0)
        for job in returns:
            _ = job.return_value  # raises the job's error
        return list(returns)
