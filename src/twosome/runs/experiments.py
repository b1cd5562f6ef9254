"""The runs of an experiment: their overrides, folders and states."""

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
    """A run of a sweep. state: "trained" (to be trained), "resumed" (to be resumed) or "finished". label: the option's value."""

    name: str  # of its folder, relative to the folder of all runs
    overrides: list[str]
    folder: RunFolder
    state: str
    label: str | None = None

    @classmethod
    def at(cls, runs: Path, overrides: list[str], config: DictConfig) -> "Planned":
        """Return a run with its folder below runs. config: the composition of the overrides, with Hydra's node.

        Raises UserError if the folder holds another run.
        """
        chosen = config.hydra.runtime.choices
        world = "-".join(filter(None, [chosen.env, config.env.get("task")]))
        name = f"{world}/{chosen.baseline}-seed{config.seed}-{fingerprint(config)}"
        folder, state = RunFolder(runs / name), "trained"
        if folder.started:
            same_config(config, folder)
            state = "finished" if folder.done else "resumed"
        return cls(name, overrides, folder, state, config.get("label"))


def check(run: Planned, config: DictConfig) -> None:
    """Check a run's configuration before the first run of the sweep begins; raise UserError.

    config: the composition of the run's overrides.
    """
    from twosome.runs.job import Job

    if run.state != "finished":
        Job.checked(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]), run.folder)


def conclude(runs: Sequence[Planned], evaluations: Sequence[DictConfig], results: Path | None) -> None:
    """Print the state of each run; then evaluate the runs and copy their results, if requested.

    evaluations: the result of `evaluations`. results: a folder, or None to copy nothing. Raises UserError if a run is not
    finished.
    """
    failed = [run for run in runs if not run.folder.done]
    states = ["failed" if run in failed else run.state for run in runs]
    for run, state in zip(runs, states, strict=True):
        print(f"{state}: {run.folder.path}", file=sys.stderr)
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("trained", "resumed", "failed"))
    print(f"{len(runs)} runs: {counts}, {states.count('finished')} finished before", file=sys.stderr)
    if failed:
        paths = " ".join(str(run.folder.path) for run in failed)
        raise UserError(f"{len(failed)} of {len(runs)} runs failed; the same command resumes them: {paths}")
    for run in runs:
        for asked in evaluations:
            evaluate(run.folder, asked)
        if results is not None:
            run.folder.copy_labelled(results / run.folder.path.name, run.label)


def evaluations(suites: Sequence[str], options: DictConfig) -> list[DictConfig]:
    """Return the configuration of src/evaluate.py for each suite; raise UserError for bad options or suites."""
    from twosome.runs.evaluate import EvaluateConfig

    asked = [_with(compose("evaluate", [f"suite={suite}"]), options) for suite in suites]
    for each in asked:
        typed(EvaluateConfig, _with(each, {"run": "each run"}), "")
    return asked


def evaluate(folder: RunFolder, asked: DictConfig) -> None:
    """Evaluate a run as src/evaluate.py does, with as many episodes as the run's own evaluation."""
    from twosome.runs.evaluate import run

    run(_with(asked, {"run": str(folder.path), "episodes": folder.config.evaluation.episodes}))


def _with(config: DictConfig, options: Mapping[str, Any] | DictConfig) -> DictConfig:
    return OmegaConf.merge(config, options)  # type: ignore[return-value]


def combinations(grids: Sequence[Grid], given: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of the distinct runs of all grids, in order.

    given: the command line's options. If the grids list words for an option (norm=word), it selects the runs that have the value.
    Any other option, such as seed=0, is set in all runs. Raises UserError if a grid has no seed, or no run is left.
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
    """Return the runs of one grid."""
    axes = {key: [_text(value) for value in _listed(values)] for key, values in grid.items()}
    picked = {key: [value for value in axes.get(key, []) if value in values] for key, values in picks.items()}
    axes |= {**options, **picked}
    return product(*([f"{key}={value}" for value in values] for key, values in axes.items()))


def _words(grids: Sequence[Grid], key: str) -> set[str]:
    """Return the values that the grids list for an option and that are words, not numbers."""
    return {value for grid in grids for value in _listed(grid.get(key, [])) if isinstance(value, str)}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """Return a value of a YAML file in Hydra's grammar."""
    return value if isinstance(value, str) else json.dumps(value)


def _texts(override: Override) -> list[str]:
    """Return the values of an option of the command line, one or several."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]
