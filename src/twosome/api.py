"""The suite as functions: make an environment, run an experiment, evaluate a run, load its agent.

Options are written as on the command line, ``"norm=token"``, ``"env.kwargs.map=B"``. Each function does the same as its command,
with the same checks and output: progress on standard error, tables on standard output. Bad input raises UserError before any
compute. A fault during a run (a full disk, a loss that is nan) raises RunError. Messages are one line. Sweeps and Hydra's flags
are available on the command line only.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import hydra
import numpy as np
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from twosome import parts, signals
from twosome.cli import evaluate as evaluate_command
from twosome.cli import run as run_command
from twosome.cli.commandline import hydra_words
from twosome.cli.entry import check_launcher, line_error, one_line, remove_if_empty
from twosome.cli.grammar import quoted
from twosome.config import CONFIGS, shown
from twosome.decision import Decision
from twosome.errors import UserError
from twosome.policies.agent import MakeEnv
from twosome.runs.commands import command as called
from twosome.storage.folder import RunFolder

if TYPE_CHECKING:
    import gymnasium

    from twosome.policies.agent import Agent

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """A finished run.

    folder: an absolute path; its files are listed in docs/run-folder.md.
    records: the entries of its evaluation.json, one per evaluation and mode, with the fields listed in docs/run-folder.md.
    score: the result of `run` is the sampled policy's mean discounted return in the run's own evaluation, or nan without one; the
        result of `evaluate` is the suite's main figure.
    """

    folder: Path
    records: list[dict[str, Any]]
    score: float


@dataclass(frozen=True)
class TrainedAgent:
    """The agent of a finished run.

    policy: the PyTorch module, in eval mode, on the requested device. make_env: makes the run's environment.
    """

    policy: "Agent"
    make_env: MakeEnv

    def probabilities(self, decision: Decision | str, actions: Sequence[str] | None = None) -> np.ndarray:
        """Return the probabilities of a decision's A actions in their order, (A,), float32; they sum to 1.

        decision: an environment's (``Decision.from_step(obs, info)``), or an observation prompt. actions: the action prompts, for
        an observation prompt only. Raises UserError if there are no actions, if a text cannot be scored, and for an observation
        prompt if the agent reads symbolic observations.
        """
        if isinstance(decision, str):
            if isinstance(actions, str) or not actions:
                raise UserError(f"actions={actions!r}: expected a list of one action prompt or more")
            if self.policy.language_model is None:
                raise UserError("decision: expected a Decision; this agent reads symbolic observations")
            nothing = np.zeros(0, dtype=np.float32)
            decision = Decision(nothing, decision, tuple(range(len(actions))), tuple(actions))
        elif actions is not None:
            raise UserError("actions: expected none beside a Decision, which has its own")
        row: np.ndarray = self.policy.log_policy([decision])[0, : len(decision.action_ids)].exp().float().cpu().numpy()
        return row


def make_env(name: str = "overcooked", render_mode: str | None = None, **options: Any) -> "gymnasium.Env":
    """Make an environment, one of conf/env.

    render_mode: None, or "rgb_array" for ``render()``. options: those of its YAML, such as ``task="tomato_salad"`` or
    ``kwargs={"map": "B"}``. Observations, rewards and info are specified in CONTRIBUTING.md. Raises UserError if there is no such
    environment or option, or if the environment cannot be made with these values.
    """
    words = [f"env={name}", *(f"env.{option}={_typed(option, value)}" for option, value in options.items())]
    with _one_line_errors():
        normalized = hydra_words(words, "config")
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return parts.environment(hydra.compose("config", normalized).env, render_mode)()


def run(*overrides: str, folder: str | Path | None = None) -> Run:
    """Do the same as ``python src/run.py <overrides>``: train an agent, evaluate it before and after, write the run's folder.

    folder: of the run; None: outputs/<day>/<time>. As on the command line, the run is resumed if the folder holds the same run,
    unfinished. ``resume=<folder>`` resumes a run without other options. Raises UserError, RunError, and KeyboardInterrupt for
    Ctrl-C.
    """

    def task(config: DictConfig) -> tuple[float, Path]:
        return run_command.task(config), Path(config.resume or HydraConfig.get().runtime.output_dir).absolute()

    place = [] if folder is None else [f"hydra.run.dir={quoted(str(folder))}"]
    score, path = _run_by_hydra("config", [*overrides, *place], task, "run")
    return _run(path, score)


def evaluate(folder: str | Path, *overrides: str) -> Run:
    """Do the same as ``python src/evaluate.py run=<folder> <overrides>``: evaluate a finished run; add to the run's records.

    overrides: such as "episodes=20", "env.task=lettuce_salad", "suite=unseen". Raises UserError if the folder holds no finished
    run, if its weights do not match their recorded checksums, if its configuration names code outside of the suite ("trust=true"
    allows that), and for bad options.
    """
    words = [f"run={quoted(str(folder))}", *map(evaluate_command.reword, overrides)]
    return _run(Path(folder).absolute(), _run_by_hydra("evaluate", words, evaluate_command.task, "evaluate"))


def load_agent(folder: str | Path, *overrides: str) -> TrainedAgent:
    """Load the agent of a finished run.

    overrides: those of `evaluate` that concern the agent and its environment: "device=cpu", "trust=true",
    "env.task=lettuce_salad". Raises UserError as `evaluate` does.
    """

    def task(config: DictConfig) -> TrainedAgent:
        from twosome.runs.evaluate import finished

        found = finished(config)
        found.folder.load(found.agent)
        found.agent.eval()
        found.agent.begin_rollout()
        return TrainedAgent(found.agent, found.make_env)

    words = [f"run={quoted(str(folder))}", *map(evaluate_command.reword, overrides)]
    return _run_by_hydra("evaluate", words, task, "evaluate")


def _run(folder: Path, score: float) -> Run:
    from twosome.evaluation import records

    return Run(folder, records.read(RunFolder(folder)), score)


def _run_by_hydra(config_name: str, words: Sequence[str], task: Callable[[DictConfig], T], command: str) -> T:
    """Run a task by Hydra in this process, with the composition of conf/<config_name>.yaml and the words."""
    results: list[T] = []
    errors: list[Exception] = []

    def job(config: DictConfig) -> None:
        try:
            check_launcher()
            results.append(task(config))
        except Exception as error:  # Hydra would print its own messages
            errors.append(error)
        finally:
            remove_if_empty(Path(HydraConfig.get().runtime.output_dir))

    if flags := [word for word in words if word.startswith("-")]:
        raise UserError(f"{flags[0]}: expected <option>=<value>; for flags and sweeps there is {' '.join(called(command))}")
    with _one_line_errors(), signals.isolated():
        with hydra.initialize_config_dir(str(CONFIGS), command, version_base="1.3"):
            if GlobalHydra.instance().hydra.get_mode(config_name, list(words)) == RunMode.MULTIRUN:  # type: ignore[union-attr]
                raise UserError(f"{' '.join(words)}: expected one run; for sweeps there is {' '.join(called(command))}")
        normalized = hydra_words(words, config_name)
        with hydra.initialize_config_dir(str(CONFIGS), command, version_base="1.3"):
            GlobalHydra.instance().hydra.run(config_name, job, normalized, with_log_configuration=False)  # type: ignore[union-attr]
        if errors:
            raise errors[0]
    return results[0]


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Convert errors with a one-line message to UserError or RunError, and Lightning's exit after Ctrl-C to KeyboardInterrupt."""
    try:
        yield
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning turns it into SystemExit
            raise KeyboardInterrupt from stop
        raise
    except Exception as error:
        shown = line_error(error)
        if shown is None or isinstance(error, UserError):
            raise
        raise (shown if shown is not error else UserError(one_line(error))) from error


def _typed(option: str, value: Any) -> str:
    """Return a value in Hydra's grammar; raise UserError for a value that a YAML file cannot hold."""
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_typed(option, each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(_typed(option, each) for each in value)}]"
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool | int | float):
        return shown(value)
    raise UserError(f"env.{option}={value!r}: expected text, a number, a list or a dict; name code by its import path")
