"""Evaluate a finished run's agent, on its own task or on tasks that it was not trained on."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from omegaconf import DictConfig, OmegaConf

from twosome import parts
from twosome.config import EvaluationConfig, RunConfig, leaves, own_settings, typed
from twosome.errors import UserError, check_seed, unknown_choice
from twosome.evaluation.interference import InterferenceConfig
from twosome.evaluation.retention.benchmarks import BenchmarkConfig
from twosome.language.config import resolve_device
from twosome.runs.commands import resume_command
from twosome.runs.trust import check_foreign
from twosome.storage.folder import RunFolder
from twosome.storage.lock import locked

if TYPE_CHECKING:
    from twosome.evaluation.suites import Finished

SUITES = ("episodes", "unseen", "cross", "glam", "drift", "retention", "interference")
"""The functions of twosome.evaluation.suites, by name. That module takes seconds to import, so suite= is checked without it."""


@dataclass
class EvaluateConfig:
    """The options of conf/evaluate.yaml."""

    run: str | None
    suite: str
    episodes: int
    seed: int | None
    gif: bool
    device: str
    trust: bool
    env: dict[str, Any]
    retention: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    interference: InterferenceConfig = field(default_factory=InterferenceConfig)

    def __post_init__(self) -> None:
        if not self.run:
            raise UserError("run=None: expected the folder of a finished run: run=<folder>")
        if self.suite not in SUITES:
            raise unknown_choice("suite", self.suite, SUITES)
        if self.episodes < 1:
            raise UserError(f"episodes={self.episodes}: expected an integer above 0")
        if self.seed is not None:
            check_seed("seed", self.seed)


class OfRun(Protocol):
    """The options of all commands that take a finished run: the device, trust in its folder, the environment's options."""

    device: str
    trust: bool
    env: dict[str, Any]


def run(asked: DictConfig) -> float:
    """Run the evaluation suite ``suite`` with a finished run's agent; print the results and write them to the run's folder.

    asked: conf/evaluate.yaml with the command line's changes. Returns the suite's main figure. Raises UserError for
    bad input before a model is loaded.
    """
    found = finished(asked)
    from twosome.evaluation import suites

    with locked(found.folder.path):
        return suites.SUITES[asked.suite](found)


def finished(asked: DictConfig) -> "Finished":
    """Return the finished run that ``run`` names, with the requested options. Its agent is not loaded yet. Raises UserError."""
    if not OmegaConf.is_dict(asked.env):
        raise UserError(f"env={asked.env}: expected single options of the run's environment, as in env.task=...")
    options = typed(EvaluateConfig, asked, "")
    folder = finished_run(Path(str(options.run)))
    config = configuration(folder, options)
    make_env = parts.environment(config.env)
    from twosome.evaluation import records
    from twosome.evaluation.film import can_film
    from twosome.evaluation.suites import Finished
    from twosome.runs.trained import load_weights  # which imports this module

    if options.gif and not can_film(make_env):
        raise UserError(f"gif=true: env.id={config.env.id} draws no pictures; leave gif out")
    seed = config.evaluation.seed if options.seed is None else options.seed
    evaluation = EvaluationConfig(options.episodes, seed, options.gif)
    changes = changed(config.env, folder.config.env)
    evaluated = records.stamp(options.suite, options.trust)
    start = partial(load_weights, config.init) if config.get("init") else lambda _: None
    return Finished(folder, config, changes, make_env, evaluation, options.retention, options.interference, evaluated, start)


def finished_run(path: Path, option: str = "run") -> RunFolder:
    """Return the folder of a finished run; raise UserError, with the remedy, if it is not one. option: which has the value."""
    if not path.is_dir():
        raise UserError(f"{option}={path}: no such folder; expected the folder of a finished run")
    folder = RunFolder(path)
    if not folder.started:
        raise UserError(f"{option}={path}: expected a config.yaml in it; name the folder of a run")
    if not folder.opened().done:
        raise UserError(f"{option}={path}: this run is not finished; finish it with: {resume_command(path)}")
    return folder


def configuration(folder: RunFolder, options: OfRun) -> DictConfig:
    """Return the run's configuration with the requested environment and device.

    Raises UserError for bad options, and if the configuration names code from outside the suite without ``trust=true``.
    """
    config = folder.config
    check_foreign(config, options.trust)
    try:
        own_settings(RunConfig, config)
        typed(EvaluationConfig, config.evaluation, "evaluation")
        if not isinstance(gamma := config.env.get("gamma"), float | int) or not 0 <= gamma <= 1:
            raise UserError(f"env.gamma={gamma}: expected a number from 0 to 1")
    except UserError as error:
        raise UserError(f"{folder.path / 'config.yaml'}: {error}") from error
    asked = dict(leaves(options.env))
    known = dict(leaves(OmegaConf.to_container(config.env)))
    for name, value in asked.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean env.{near[0]}?" if near else ""
            raise UserError(f"env.{name}={value}: no such option; expected one of {', '.join(known)}{hint}")
        OmegaConf.update(config.env, name, value)
    if "gamma" in asked and "kwargs.gamma" in known and "kwargs.gamma" not in asked:
        config.env.kwargs.gamma = config.env.gamma  # an interpolation in conf/env, resolved in config.yaml
    config.model.device, config.trainer.accelerator = device(options.device), "auto"
    return config


def changed(env: DictConfig, own: DictConfig) -> dict[str, Any]:
    """Return the options of env that differ from the run's own, except those that every record has (id, task, prompt)."""
    before = dict(leaves(OmegaConf.to_container(own, resolve=True)))
    now = leaves(OmegaConf.to_container(env, resolve=True))
    return {name: value for name, value in now if value != before[name] and name not in ("id", "task", "prompt")}


def device(name: str) -> str:
    """Return cpu or cuda for the option ``device``; raise UserError."""
    try:
        return resolve_device(name).type
    except UserError as error:
        raise UserError(str(error).replace("model.device", "device")) from None
