"""A Hydra sweeper that searches: the values of each trial follow from the scores of the trials before.

It is selected by ``hydra/sweeper=optuna``. Its options are explained in conf/hydra/sweeper/optuna.yaml. Any of Hydra's launchers
can be used. hydra-optuna-sweeper is not used, since it needs Optuna 2; this sweeper takes the same words for what is searched.
"""

import sys
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from twosome.cli.grammar import quoted
from twosome.cli.options import Checker
from twosome.config import typed
from twosome.errors import UserError


class OptunaSweeper(Sweeper):
    """A sweeper that launches trials until there are n_trials, and reports the best."""

    def __init__(self, **options: Any) -> None:
        """options: as in SearchConfig."""
        self.options = OmegaConf.create(options)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher."""
        self.master, self.loader = config, hydra_context.config_loader
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Run the trials that are missing. Raises UserError for bad input before the first one."""
        from twosome.runs.search import Search, SearchConfig, space_of
        from twosome.storage.lock import alone

        config = typed(SearchConfig, self.options, "hydra.sweeper")
        overrides = OverridesParser.create(config_loader=self.loader).parse_overrides(arguments)
        space = space_of(overrides)
        checker = Checker(self.master.hydra.job.config_name, self.master.hydra.searchpath)
        fixed = [str(each.input_line) for each in overrides if not each.is_sweep_override()]
        if any(each.key_or_group == "seed" for each in overrides):
            raise UserError("seed: expected none beside hydra/sweeper=optuna, which has hydra.sweeper.seeds=[0,1,2]")
        folder = Path(str(self.master.hydra.sweep.dir)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        returns: list[JobReturn] = []
        with alone(folder):
            search = Search(folder, config, space, fixed)
            while trials := search.next_trials():
                jobs = [
                    [*fixed, *search.words(trial), f"seed={seed}", *self._name(fixed, trial.label), _place(trial.number, seed)]
                    for trial in trials
                    for seed in config.seeds
                ]
                ended = self.launcher.launch([self._checked(checker, job) for job in jobs], initial_job_idx=len(returns))
                returns += ended
                scores = [job.return_value for job in ended]  # raises a job's error
                for place, trial in enumerate(trials):
                    search.record(trial, scores[place * len(config.seeds) : (place + 1) * len(config.seeds)])
            print(search.report(), file=sys.stderr)
        return returns

    def _name(self, fixed: list[str], label: str) -> list[str]:
        """Return the word that names a trial's runs in tables, unless the command line names them."""
        return [] if any(word.startswith("label=") for word in fixed) else [f"label={quoted(label)}"]

    def _checked(self, checker: Checker, words: list[str]) -> list[str]:
        """Return a job's words as they are composed. Raises UserError for bad words, and for runs without a score."""
        checked = checker.normalized(words)
        config = self.loader.load_sweep_config(self.master, checked)
        if config.hydra.sweeper._target_ != self.master.hydra.sweeper._target_:
            raise UserError(f"{' '.join(words)}: expected no experiment that is a sweep itself, in a search")
        if OmegaConf.select(config, "evaluation.episodes") == 0:
            raise UserError("evaluation.episodes=0: expected 1 or more in a search, since the evaluation gives the score")
        return checked


def _place(number: int, seed: int) -> str:
    """Return the word for a run's folder below the search's."""
    return f"hydra.sweep.subdir={number}-seed{seed}"
