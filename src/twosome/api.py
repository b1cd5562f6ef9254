"""The suite as functions: make an environment, run an experiment, evaluate a run, load its agent.

Options are words as on the command line, ``"norm=token"``, ``"env.kwargs.map=B"``; each function does what its command does, with
the same checks. It prints what the command prints: progress on standard error, tables on standard output. Bad input raises
UserError before any compute, a fault during a run RunError (a full disk, a loss that is no number); the message is one line.
Sweeps, and Hydra's flags, are the command line's.
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
from twosome.cli.commandline import prepared
from twosome.cli.entry import check_launcher, line_error, one_line, remove_if_empty
from twosome.cli.grammar import quoted
from twosome.config import CONFIGS, shown
from twosome.decision import Decision
from twosome.errors import UserError
from twosome.policies.context import MakeEnv
from twosome.runs.commands import command as called
from twosome.storage.folder import RunFolder

if TYPE_CHECKING:
    import gymnasium

    from twosome.policies.agent import Agent

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """A finished run.

    folder: an absolute path; README, "A run's folder", lists its files. records: all of its evaluation.json, one for each
    evaluation and mode, with the fields that README lists. score: of `run`, the sampled policy's mean discounted return by the
    run's own evaluation, nan without one; of `evaluate`, the suite's main figure.
    """

    folder: Path
    records: list[dict[str, Any]]
    score: float


@dataclass(frozen=True)
class TrainedAgent:
    """The agent of a finished run.

    policy: the PyTorch module, in eval mode, on the device that was asked for. make_env: makes the run's environment.
    """

    policy: "Agent"
    make_env: MakeEnv

    def probabilities(self, decision: Decision | str, actions: Sequence[str] | None = None) -> np.ndarray:
        """The policy in one decision: (A,) float32, the probabilities of its A actions in their order; they sum to 1.

        decision: an environment's (``Decision.from_step(obs, info)``), or an observation prompt, with the action prompts in
        actions. Raises UserError where there are no actions, where a text cannot be scored, and for a prompt where the agent
        reads more than words.
        """
        if isinstance(decision, str):
            if isinstance(actions, str) or not actions:
                raise UserError(f"actions={actions!r}: expected a list of one action prompt or more")
            if self.policy.language_model is None:
                raise UserError("decision: expected a Decision; this agent reads more than the words of a prompt")
            nothing = np.zeros(0, dtype=np.float32)
            decision = Decision(nothing, decision, tuple(range(len(actions))), tuple(actions))
        elif actions is not None:
            raise UserError("actions: expected none beside a Decision, which has its own")
        row: np.ndarray = self.policy.log_policy([decision])[0, : len(decision.action_ids)].exp().float().cpu().numpy()
        return row


def make_env(name: str = "overcooked", render_mode: str | None = None, **options: Any) -> "gymnasium.Env":
    """Make an environment, one of conf/env.

    render_mode: None, or "rgb_array" for ``render()``. options: those of its YAML, such as ``task="tomato_salad"`` or
    ``kwargs={"map": "B"}``. CONTRIBUTING.md says what it gives as observation, reward and info. Raises UserError where there is
    no such environment or option, or the environment cannot be made with these values.
    """
    words = [f"env={name}", *(f"env.{option}={_typed(option, value)}" for option, value in options.items())]
    with _errors_of_one_line():
        settled = prepared(words, "config")
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return parts.environment(hydra.compose("config", settled).env, render_mode)()


def run(*overrides: str, folder: str | Path | None = None) -> Run:
    """Do what ``python src/run.py <overrides>`` does: train an agent, evaluate it before and after, write the run's folder.

    folder: of the run; None: outputs/<day>/<time>. As on the command line, a folder in which this very run was stopped is gone on
    with, and ``resume=<folder>`` goes on without other options. Raises UserError, RunError, and KeyboardInterrupt for Ctrl-C.
    """

    def task(config: DictConfig) -> tuple[float, Path]:
        return run_command.task(config), Path(config.resume or HydraConfig.get().runtime.output_dir).absolute()

    place = [] if folder is None else [f"hydra.run.dir={quoted(str(folder))}"]
    score, path = _done("config", [*overrides, *place], task, "run")
    return _run(path, score)


def evaluate(folder: str | Path, *overrides: str) -> Run:
    """Do what ``python src/evaluate.py run=<folder> <overrides>`` does: play a finished run's agent; add to the run's records.

    overrides: such as "episodes=20", "env.task=lettuce_salad", "suite=unseen". Raises UserError where the folder holds no
    finished run or not the weights that it was trained to, where its configuration names code outside of the suite
    ("trust=true" allows that), and for bad options.
    """
    words = [f"run={quoted(str(folder))}", *map(evaluate_command.reword, overrides)]
    return _run(Path(folder).absolute(), _done("evaluate", words, evaluate_command.task, "evaluate"))


def load_agent(folder: str | Path, *overrides: str) -> TrainedAgent:
    """Load the agent that a finished run trained.

    overrides: of `evaluate` that matter here: "device=cpu", "trust=true", "env.task=lettuce_salad". Raises UserError as
    `evaluate` does.
    """

    def task(config: DictConfig) -> TrainedAgent:
        from twosome.runs.evaluate import finished

        found = finished(config)
        found.folder.load(found.agent)
        found.agent.eval()
        found.agent.begin_rollout()
        return TrainedAgent(found.agent, found.make_env)

    words = [f"run={quoted(str(folder))}", *map(evaluate_command.reword, overrides)]
    return _done("evaluate", words, task, "evaluate")


def _run(folder: Path, score: float) -> Run:
    from twosome.evaluation import records

    return Run(folder, records.read(RunFolder(folder)), score)


def _done(config_name: str, words: Sequence[str], task: Callable[[DictConfig], T], command: str) -> T:
    """Have Hydra do a task, with what conf/<config_name>.yaml and the words compose, in this process."""
    results: list[T] = []
    errors: list[Exception] = []

    def job(config: DictConfig) -> None:
        try:
            check_launcher()
            results.append(task(config))
        except Exception as error:  # Hydra would print more than it says
            errors.append(error)
        finally:
            remove_if_empty(Path(HydraConfig.get().runtime.output_dir))

    if flags := [word for word in words if word.startswith("-")]:
        raise UserError(f"{flags[0]}: expected <option>=<value>; for flags and sweeps there is {' '.join(called(command))}")
    with _errors_of_one_line(), signals.apart():
        with hydra.initialize_config_dir(str(CONFIGS), command, version_base="1.3"):
            if GlobalHydra.instance().hydra.get_mode(config_name, list(words)) == RunMode.MULTIRUN:  # type: ignore[union-attr]
                raise UserError(f"{' '.join(words)}: expected one run; for sweeps there is {' '.join(called(command))}")
        settled = prepared(words, config_name)
        with hydra.initialize_config_dir(str(CONFIGS), command, version_base="1.3"):
            GlobalHydra.instance().hydra.run(config_name, job, settled, with_log_configuration=False)  # type: ignore[union-attr]
        if errors:
            raise errors[0]
    return results[0]


@contextmanager
def _errors_of_one_line() -> Iterator[None]:
    """Inside, errors that have one line are UserError or RunError, and Ctrl-C is what it is in Python."""
    try:
        yield
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # which Lightning makes an exit
            raise KeyboardInterrupt from stop
        raise
    except Exception as error:
        shown = line_error(error)
        if shown is None or isinstance(error, UserError):
            raise
        raise (shown if shown is not error else UserError(one_line(error))) from error


def _typed(option: str, value: Any) -> str:
    """A value in Hydra's grammar; raises UserError for what a YAML file cannot hold."""
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_typed(option, each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(_typed(option, each) for each in value)}]"
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool | int | float):
        return shown(value)
    raise UserError(f"env.{option}={value!r}: expected text, a number, a list or a dict; name code by its import path")
