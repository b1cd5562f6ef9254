"""A Hydra sweeper for experiments: several grids in one sweep, each run in a folder that follows from its configuration.

It is selected by ``override /hydra/sweeper: grids``; conf/hydra/sweeper/grids.yaml explains its options. Any launcher
can be used. Hydra imports its plugins at every start, so the library, which needs PyTorch, is imported when a sweep begins.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from twosome.errors import UserError, check_choice

Grid = Mapping[str, Any]


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
        """Run the experiment. arguments: words that select runs or set options."""
        given = OverridesParser.create(config_loader=self.loader).parse_overrides(arguments)
        planned = {}
        for overrides in combinations(self.grids, given):
            folder, label, finished = self.folder_of(overrides)
            planned[folder] = (overrides, label, finished)
        jobs = [[*overrides, f"hydra.sweep.dir='{self.runs}'", f"hydra.sweep.subdir='{folder.relative_to(self.runs)}'"]
                for folder, (overrides, _, finished) in planned.items() if not finished]  # fmt: skip
        print(f"{len(planned)} runs, {len(planned) - len(jobs)} of them finished before: {self.runs}", file=sys.stderr)
        returns = self.launcher.launch(jobs, initial_job_idx=0) if jobs else []
        for job in returns:
            _ = job.return_value  # raises the job's error
        self.conclude({folder: label for folder, (_, label, _) in planned.items()})
        return returns

    def folder_of(self, overrides: list[str]) -> tuple[Path, str | None, bool]:
        """Return the folder of a run, its label, and whether it is finished. Raises UserError if it holds another run."""
        from twosome.experiment.resume import fingerprint, same_config
        from twosome.storage.folder import RunFolder

        config = self.loader.load_sweep_config(self.master, overrides)
        chosen = config.hydra.runtime.choices
        world = "-".join(filter(None, [chosen.env, config.env.get("task")]))
        folder = RunFolder(self.runs / world / f"{chosen.baseline}-seed{config.seed}-{fingerprint(config)}")
        if folder.started:
            same_config(config, folder)
        return folder.path, config.get("label"), folder.done

    def conclude(self, labels: Mapping[Path, str | None]) -> None:
        """Evaluate the runs and copy their results, if requested. labels: of the runs, by folder."""
        from twosome.experiment.evaluate import run as evaluate
        from twosome.storage.folder import RunFolder

        for folder, label in labels.items():
            for suite in self.suites:
                episodes = RunFolder(folder).config.evaluation.episodes
                asked = compose("evaluate", [f"run='{folder}'", f"suite={suite}", f"episodes={episodes}"])
                evaluate(OmegaConf.merge(asked, self.evaluate))  # type: ignore[arg-type]
            if self.results is not None:
                RunFolder(folder).copy_labelled(self.results / folder.name, label)


def listed(grids: Any, bases: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the grids of a list, of lists by name, or of None; one that names bases once for each. Raises UserError."""
    every = [grid for each in grids.values() for grid in each] if isinstance(grids, dict) else grids or []
    return [own for grid in every for own in _on_bases(grid, bases)]


def _on_bases(grid: Grid, bases: Mapping[str, Any]) -> list[dict[str, Any]]:
    own = {name: value for name, value in grid.items() if name != "base"}
    if "base" not in grid:
        return [own]
    return [{**bases[name], **own} for name in _values(grid["base"])]


def combinations(grids: Sequence[Grid], given: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of the distinct runs of all grids, in order.

    given: the command line's options. If the grids list words for an option (norm=word), it selects the runs that have the value.
    Any other option, such as seed=0, is set in all runs. Raises UserError if no run is left.
    """
    options = {override.get_key_element(): _texts(override) for override in given}
    picks = {key: values for key, values in options.items() if _words(grids, key)}
    for key, values in picks.items():
        for value in values:
            check_choice(key, value, _words(grids, key))
    runs = list(dict.fromkeys(run for grid in grids for run in _product(grid, options, picks)))
    if not runs:
        raise UserError(f"hydra.sweeper.grids: expected at least one run; none is left with {picks}")
    return [list(run) for run in runs]


def _product(grid: Grid, options: Mapping[str, list[str]], picks: Mapping[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """Return the runs of one grid."""
    axes = {key: [_text(value) for value in _values(values)] for key, values in grid.items()}
    picked = {key: [value for value in axes.get(key, []) if value in values] for key, values in picks.items()}
    axes |= {**options, **picked}
    return product(*([f"{key}={value}" for value in values] for key, values in axes.items()))


def _words(grids: Sequence[Grid], key: str) -> set[str]:
    """Return the values that the grids list for an option and that are words, not numbers."""
    return {value for grid in grids for value in _values(grid.get(key, [])) if isinstance(value, str)}


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """Return a value of a YAML file in Hydra's grammar."""
    return value if isinstance(value, str) else json.dumps(value)


def _texts(override: Override) -> list[str]:
    """Return the values of an option of the command line, one or several."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]
