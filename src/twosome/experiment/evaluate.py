"""Evaluate a finished run's agent, on its own task or on tasks that it was not trained on."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from omegaconf import DictConfig, OmegaConf

from twosome import build
from twosome.agents.agent import Agent
from twosome.config import EvaluationConfig, leaves, typed
from twosome.errors import check, check_choice, check_seed
from twosome.evaluation import records, suites
from twosome.evaluation.film import can_film
from twosome.evaluation.interference import InterferenceConfig
from twosome.evaluation.retention.benchmarks import BenchmarkConfig
from twosome.evaluation.suites import Finished
from twosome.experiment.resume import check_foreign, finished_run
from twosome.storage.folder import RunFolder, locked


class OfRun(Protocol):
    """The options of all commands that take a finished run: the device, trust in its folder, the environment's options."""

    device: str
    trust: bool
    env: dict[str, Any]


@dataclass
class EvaluateConfig:
    """The options of conf/evaluate.yaml."""

    run: str
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
        check_choice("suite", self.suite, suites.SUITES)
        check(self.episodes > 0, "episodes", self.episodes, "an integer above 0")
        if self.seed is not None:
            check_seed("seed", self.seed)


def run(asked: DictConfig) -> float:
    """Run the evaluation suite ``suite`` with a finished run's agent; print the results and write them to the run's folder.

    asked: conf/evaluate.yaml with the command line's changes. Returns the suite's main figure. Raises UserError for bad input.
    """
    found = finished(asked)
    with locked(found.folder.path):
        return suites.SUITES[asked.suite](found)


def finished(asked: DictConfig) -> Finished:
    """Return the finished run that ``run`` names, with the requested options. Its agent is not loaded yet. Raises UserError."""
    options = typed(EvaluateConfig, asked, "")
    folder = finished_run(options.run)
    config = configuration(folder, options)
    make_env = build.environment(config.env)
    pictures = not options.gif or can_film(make_env)
    check(pictures, "gif", "true", f"false, since env.id={config.env.id} draws no pictures; leave gif out")
    seed = config.evaluation.seed if options.seed is None else options.seed
    evaluation = EvaluationConfig(options.episodes, seed, options.gif)
    changes = changed(config.env, folder.config.env)
    evaluated = records.stamp(options.suite, options.trust)

    def start(agent: Agent) -> None:
        if config.get("init"):
            finished_run(config.init, "init").load(agent)

    return Finished(folder, config, changes, make_env, evaluation, options.retention, options.interference, evaluated, start)


def configuration(folder: RunFolder, options: OfRun) -> DictConfig:
    """Return the run's configuration with the requested environment and device.

    Raises UserError for bad options, and if the configuration names code from outside the suite without ``trust=true``.
    """
    config = folder.config
    check_foreign(config, options.trust)
    asked = {name: value for name, value in leaves(dict(options.env)) if value is not None}
    known = dict(leaves(OmegaConf.to_container(config.env)))
    for name, value in asked.items():
        check_choice("env", name, known)
        OmegaConf.update(config.env, name, value)
    if "gamma" in asked and "kwargs.gamma" in known and "kwargs.gamma" not in asked:
        config.env.kwargs.gamma = config.env.gamma  # an interpolation in conf/env, resolved in config.yaml
    if asked and "optimum" not in asked and "optimum" in known:  # set by hand, for the run's own options
        config.env.optimum = None
    config.model.device, config.trainer.accelerator = options.device, "auto"
    return config


def changed(env: DictConfig, own: DictConfig) -> dict[str, Any]:
    """Return the options that differ from the run's own, except those that records name apart (id, task, prompt, optimum)."""
    before = dict(leaves(OmegaConf.to_container(own, resolve=True)))
    now = leaves(OmegaConf.to_container(env, resolve=True))
    return {name: value for name, value in now if value != before[name] and name not in ("id", "task", "prompt", "optimum")}
