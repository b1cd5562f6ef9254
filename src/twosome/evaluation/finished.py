"""What the suites of src/evaluate.py share: the run that is evaluated, and playing several tasks with its agent."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean
from typing import Any

from omegaconf import DictConfig, OmegaConf

from twosome import parts
from twosome.config import EvaluationConfig
from twosome.envs.tasks import task_names
from twosome.errors import UserError
from twosome.evaluation import records
from twosome.evaluation.interference.config import InterferenceConfig
from twosome.evaluation.records import Record
from twosome.evaluation.retention.benchmarks import BenchmarkConfig
from twosome.evaluation.summary import LEGEND, print_added, print_files, print_records
from twosome.language.loading import LanguageModel
from twosome.policies.agent import Agent, MakeEnv
from twosome.policies.bounds import RandomAgent
from twosome.storage.folder import RunFolder

RESULTS = {records.FILE: "the numbers above"}


@dataclass(frozen=True)
class Finished:
    """A finished run that is to be evaluated.

    config: its configuration, with the requested environment. changes: the environment's options that differ from the run's own.
    make_env: makes the requested environment. evaluation: the number of episodes, the seed, and whether to make a film.
    start: gives the agent the weights from which the run began to learn (init); by default those that it was built with.
    benchmarks, interference: the options of suite=retention and suite=interference. evaluated: the stamp of everything that is
    added to the run's folder (`records.stamp`).
    """

    folder: RunFolder
    config: DictConfig
    changes: dict[str, Any]
    make_env: MakeEnv
    evaluation: EvaluationConfig
    benchmarks: BenchmarkConfig
    interference: InterferenceConfig
    evaluated: Record
    start: Callable[[Agent], None]

    @cached_property
    def agent(self) -> Agent:
        """The agent before training. It is built, and its models are loaded, on first access."""
        return parts.agent(self.config, self.make_env)


def play_all(run: Finished, suite: str, settings: list[tuple[DictConfig, dict[str, Any]]]) -> float:
    """Play several tasks by random play, by the agent before training and by the trained agent.

    settings: environments, and for each its options that differ from the run's own. Results that the run's folder has already,
    with as many episodes and the same seed, are not computed again. Returns the trained agent's mean success rate when sampled.
    Raises UserError if there is no other task, or if the run trained no language model, since agents that read symbolic
    observations cannot act in environments with other observations.
    """
    language_model(run, suite)
    if not settings:
        raise UserError(f"suite={suite}: expected an environment with several tasks, got env.id={run.config.env.id}")
    return mean(own[-1][0]["success_rate"] for own in play_settings(run, settings))


def play_settings(
    run: Finished, settings: list[tuple[DictConfig, dict[str, Any]]], modes: Sequence[str] = records.MODES
) -> list[list[list[Record]]]:
    """Play settings by all stages; return, for each of them and each stage, its records, one per mode. settings: of play_all."""
    makers = [parts.environment(env) for env, _ in settings]
    found: list[list[list[Record]]] = [[] for _ in settings]
    added = False
    for when, agent in stages(run):
        for own, (env, changes), make_env in zip(found, settings, makers, strict=True):
            kept = played(run, when, records.setting_of(env, changes), modes)
            if not kept:
                new = records.evaluate(agent, make_env, env, run.evaluation, when, changes, modes)
                kept = records.add(run.folder, new, run.evaluated)
            own.append(kept)
            added |= is_new(run, kept)
            print_records(kept, run.config.seed, run.evaluated)
    print_added(records.FILE, added, LEGEND)
    print_files(run.folder, RESULTS)
    return found


def played(run: Finished, when: str, setting: Record, modes: Sequence[str] = records.MODES) -> list[Record]:
    """Return the latest records of an evaluation, one per mode, if the run's folder has them all from the same episodes."""
    asked = (when, run.evaluation.episodes, run.evaluation.seed)
    there = records.of_setting(records.read(run.folder), setting)
    found = {record["mode"]: record for record in there if (record["when"], record["episodes"], record["seed"]) == asked}
    return [found[mode] for mode in modes] if set(found) >= set(modes) else []


def is_new(run: Finished, kept: Sequence[Record]) -> bool:
    """Return whether this evaluation added any of the records."""
    return any(record.get(records.LATER) == run.evaluated for record in kept)


def stages(run: Finished) -> Iterator[tuple[str, Agent]]:
    """Yield the value of "when" in records, and the agent."""
    yield "random", RandomAgent()
    run.start(run.agent)
    yield "before", run.agent
    run.folder.load(run.agent)
    yield "after", run.agent


def other_tasks(env: DictConfig) -> Iterator[DictConfig]:
    """Yield the environment's configuration with each of its other tasks."""
    for task in task_names(parts.environment(env)):
        if task != env.get("task"):
            yield OmegaConf.merge(env, {"task": task})  # type: ignore[misc]


def language_model(run: Finished, suite: str) -> LanguageModel:
    """Return the language model that the run trained; raise UserError if it trained none."""
    if run.agent.language_model is None:
        raise no_language_model(run, suite)
    return run.agent.language_model


def no_language_model(run: Finished, suite: str) -> UserError:
    """Return the error for a run that trained no language model."""
    return UserError(f"suite={suite}: expected a run that trained a language model; {run.folder.path} trained none")
