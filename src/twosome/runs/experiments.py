"""The runs of an experiment: which they are, where each lies, how far it is, and how it ended."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from twosome.config import typed
from twosome.errors import UserError, unknown_choice
from twosome.runs.resume import fingerprint, same_config
from twosome.storage.folder import RunFolder

Grid = Mapping[str, Any]


@dataclass(frozen=True)
class Planned:
    """A run of a sweep. state: what is to be done with it: it is to be "trained" or "resumed", or it is "finished"."""

    name: str  # of its folder, within the folder of all runs
    overrides: list[str]
    folder: RunFolder
    state: str

    @classmethod
    def at(cls, runs: Path, overrides: list[str], config: DictConfig) -> "Planned":
        """A run with its place below the folder runs. config: what the overrides compose, Hydra's node included.

        Raises UserError where another run has its place.
        """
        chosen = config.hydra.runtime.choices
        world = "-".join(filter(None, [chosen.env, config.env.get("task")]))
        name = f"{world}/{chosen.baseline}-seed{config.seed}-{fingerprint(config)}"
        folder, state = RunFolder(runs / name), "trained"
        if folder.started:
            same_config(config, folder)
            state = "finished" if folder.done else "resumed"
        return cls(name, overrides, folder, state)


def check(run: Planned, config: DictConfig) -> None:
    """Find bad input before the first run of a sweep begins rather than when its turn comes. config: what the run's overrides
    compose. Raises UserError."""
    from twosome.runs.job import Job

    if run.state != "finished":
        Job.checked(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]), run.folder)


def conclude(runs: Sequence[Planned], evaluations: Sequence[DictConfig], results: Path | None) -> None:
    """Say what became of the runs, as their folders tell; evaluate them and copy their results, where that is asked for.

    evaluations: what `evaluations` gave. results: a folder. Raises UserError where a run is not finished.
    """
    failed = [run for run in runs if not run.folder.done]
    states = ["failed" if run in failed else run.state for run in runs]
    for run, state in zip(runs, states, strict=True):
        print(f"{state}: {run.folder.path}", file=sys.stderr)
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("trained", "resumed", "failed"))
    print(f"{len(runs)} runs: {counts}, {states.count('finished')} finished before", file=sys.stderr)
    if failed:
        paths = " ".join(str(run.folder.path) for run in failed)
        raise UserError(f"{len(failed)} of {len(runs)} runs failed; the same command goes on with them: {paths}")
    for run in runs:
        for asked in evaluations:
            evaluate(run.folder, asked)
        if results is not None:
            run.folder.copy_results(results / run.folder.path.name)


def evaluations(suites: Sequence[str], options: DictConfig) -> list[DictConfig]:
    """What src/evaluate.py is to be asked of each run, for each suite; raises UserError where options or suites are bad."""
    from twosome.runs.evaluate import EvaluateConfig

    asked = [_with(compose("evaluate", [f"suite={suite}"]), options) for suite in suites]
    for each in asked:
        typed(EvaluateConfig, _with(each, {"run": "each run"}), "")
    return asked


def evaluate(folder: RunFolder, asked: DictConfig) -> None:
    """Do what src/evaluate.py does, in as many episodes as the run's own evaluation has."""
    from twosome.runs.evaluate import run

    run(_with(asked, {"run": str(folder.path), "episodes": folder.config.evaluation.episodes}))


def _with(config: DictConfig, options: Mapping[str, Any] | DictConfig) -> DictConfig:
    return OmegaConf.merge(config, options)  # type: ignore[return-value]


def combinations(grids: Sequence[Grid], given: Sequence[Override]) -> list[list[str]]:
    """The runs of all grids as overrides, each once, in order.

    given: the command line's options. One for which the grids list words (norm=word) picks the runs that have it; any other,
    such as seed=0, is set in all runs. Raises UserError where a grid has no seed, or no run is left.
    """
    for grid in grids:
        if "seed" not in grid:
            raise UserError(f"hydra.sweeper.grids: expected seed: [...] in each grid; there is none in {json.dumps(grid)}")
    options = {override.get_key_element(): _texts(override) for override in given}
    picks = {key: values for key, values in options.items() if _words(grids, key)}
    for key, values in picks.items():
        for value in set(values) - _words(grids, key):
            raise unknown_choice(key, value, _words(grids, key))
    runs = list(dict.fromkeys(run for grid in grids for run in _product(grid, options, picks)))
    if not runs:
        asked = " and ".join(f"{key}={','.join(values)}" for key, values in picks.items())
        raise UserError(f"hydra.sweeper.grids: expected at least one run; none is left{' with ' if asked else ''}{asked}")
    return [list(run) for run in runs]


def _product(grid: Grid, options: Mapping[str, list[str]], picks: Mapping[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """The runs of one grid."""
    axes = {key: [_text(value) for value in _listed(values)] for key, values in grid.items()}
    picked = {key: [value for value in axes.get(key, []) if value in values] for key, values in picks.items()}
    axes |= {**options, **picked}
    return product(*([f"{key}={value}" for value in values] for key, values in axes.items()))


def _words(grids: Sequence[Grid], key: str) -> set[str]:
    """The values that the grids list for an option, where they are words and not numbers."""
    return {value for grid in grids for value in _listed(grid.get(key, [])) if isinstance(value, str)}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """A value of a YAML file in Hydra's grammar."""
    return value if isinstance(value, str) else json.dumps(value)


def _texts(override: Override) -> list[str]:
    """The values of an option of the command line, one or several."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]
