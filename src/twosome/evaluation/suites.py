"""The evaluations of src/evaluate.py: a function for each choice of ``suite``."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from statistics import mean
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from twosome import parts
from twosome.config import EvaluationConfig
from twosome.envs.tasks import task_names
from twosome.errors import UserError
from twosome.evaluation import generalization, records
from twosome.evaluation.interference.config import InterferenceConfig
from twosome.evaluation.records import Record
from twosome.evaluation.retention import benchmarks, results
from twosome.evaluation.retention.benchmarks import BenchmarkConfig
from twosome.evaluation.retention.drift import UNMEASURED, DriftProbe
from twosome.evaluation.retention.harness import Harness
from twosome.evaluation.retention.report import FILE, add_later, measured, print_benchmarks, print_drift
from twosome.evaluation.summary import LEGEND, print_added, print_files, print_records
from twosome.evaluation.video import record
from twosome.language.loading import LanguageModel
from twosome.policies.agent import Agent, LearningAgent
from twosome.policies.context import MakeEnv
from twosome.policies.random import RandomAgent
from twosome.storage.folder import RunFolder

RESULTS = {records.FILE: "the numbers above"}


@dataclass(frozen=True)
class Finished:
    """A finished run that is to be evaluated.

    config: its configuration, with the requested environment. changes: the environment's options that differ from the run's own.
    make_env: makes the requested environment. evaluation: the number of episodes, the seed, and whether to make a film.
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

    @cached_property
    def agent(self) -> Agent:
        """The agent before training. It is built, and its models are loaded, on first access."""
        return parts.agent(self.config, self.make_env)


def episodes(run: Finished) -> float:
    """Play one task; return the sampled policy's mean discounted return."""
    run.folder.load(run.agent)
    found = records.evaluate(run.agent, run.make_env, run.config.env, run.evaluation, "after", run.changes)
    kept = records.add(run.folder, found, run.evaluated)
    print_records(records.of_setting(records.read(run.folder), found[0]), run.config.seed, run.evaluated)
    print_added(records.FILE, _new(run, kept), LEGEND)
    files = dict(RESULTS)
    if run.evaluation.gif:
        name = f"episode_{re.sub(r'[^A-Za-z0-9]+', '_', str(run.config.env.get('task') or run.config.env.id))}.gif"
        rgb = parts.environment(run.config.env, render_mode="rgb_array")
        record(run.agent, rgb, run.folder.path / name, run.config.env.gamma, run.evaluation.seed)
        files[name] = "one greedy episode"
    print_files(run.folder, files)
    return float(found[0]["return_mean"])


def unseen(run: Finished) -> float:
    """Play all other tasks of the run's environment (TWOSOME, figure 6; VirtualHome's episodes have at most 50 steps there)."""
    own = run.folder.config.env
    return play_all(run, "unseen", [(env, run.changes) for env in other_tasks(run.config.env) if env.task != own.task])


def cross(run: Finished) -> float:
    """Play every task of every environment of the suite, to measure transfer from the trained task to others.

    Environments whose YAML has ``cross: false`` are left out, except the run's own.
    """
    own = run.config.env
    settings = [(own, run.changes)] + [(env, run.changes) for env in other_tasks(own)]
    for choice in GlobalHydra.instance().config_loader().get_group_options("env"):
        env = compose("config", overrides=[f"env={choice}"]).env
        if env.id != own.id and env.get("cross", True):
            settings += [(env, {}), *((other, {}) for other in other_tasks(env))]
    return play_all(run, "cross", settings)


def glam(run: Finished) -> float:
    """Play the environment's tests of generalisation (GLAM, section 4.3), sampled, also by agents without a language model.

    Returns the trained agent's mean success rate over the tests, without that in the run's own setting.
    """
    settings = generalization.settings_of(run.config.env, run.changes, run.make_env)
    found = play_settings(run, list(settings.values()), modes=("sampled",))
    generalization.print_tests({name: [record for (record,) in own] for name, own in zip(settings, found, strict=True)})
    return mean(own[-1][0]["success_rate"] for own in found[1:])


def drift(run: Finished) -> float:
    """Compare the language model with its base on the bundled texts; return the mean KL divergence per token in nats."""
    model = measurable(run, "drift")
    run.folder.load(run.agent)
    found = measured(DriftProbe(model, OmegaConf.select(run.config, "retention.limit")))
    added = add_later({"drift": found}, run.folder, run.evaluated)
    print_drift(found)
    print_added(FILE, added)
    print_files(run.folder, {FILE: "the numbers above"})
    return float(found["kl"])


def retention(run: Finished) -> float:
    """Evaluate lm-eval's benchmarks on the model with its adapter off and on; return the mean change of accuracy.

    Each benchmark is written as soon as it is done. Raises UserError for bad data before a model is loaded.
    """
    adapter = run.folder.weights("adapter")
    if not (adapter / "adapter_config.json").is_file():
        raise no_language_model(run, "retention")
    asked = benchmarks.load(run.benchmarks)
    model = measurable(run, "retention")
    run.folder.load(run.agent)
    harness = Harness(model, run.benchmarks.batch_tokens)
    key = {"model": model.checksum, "dtype": run.config.model.get("dtype"), "lm_eval": benchmarks.version()}
    entries, added = {}, False
    for number, benchmark in enumerate(asked, 1):
        print(f"{number} of {len(asked)}: {benchmark.name}, {benchmark.items} items, adapter off and on", file=sys.stderr)
        own = key | {"task": benchmark.name, "data": benchmark.checksum, "limit": run.benchmarks.limit}
        before, after = (
            results.cached(own | {"adapter": checksum}, partial(harness.ask, benchmark, adapter=checksum is not None))
            for checksum in (None, results.file_checksum(adapter))
        )
        entry = results.comparison(benchmark, before, after, local=run.benchmarks.data_dir is not None)
        entries[benchmark.name] = entry
        added |= add_later({"benchmarks": {benchmark.name: entry}}, run.folder, run.evaluated)
    print_benchmarks(entries)
    print_added(FILE, added)
    print_files(run.folder, {FILE: "the numbers above"})
    return mean(next(iter(entry["metrics"].values()))["difference"] for entry in entries.values())


def interference(run: Finished) -> float:
    """Measure how far one update moves actions in situations that it did not contain.

    Returns the mean absolute change outside the update over that in it; nan without a value. The run's weights stay as they are.
    Raises UserError for bad options, and if the run's agent does not learn.
    """
    from twosome.evaluation.interference import probe, report  # seaborn takes a second to import

    if "gamma" in run.changes:
        raise UserError(f"env.gamma={run.config.env.gamma}: expected the run's own with suite=interference; leave it out")
    algorithm, asked, seed = parts.algorithm(run.config), run.interference, run.evaluation.seed
    probe.check_algorithm(algorithm, asked)
    run.folder.read_json(report.FILE, default={})  # raises UserError for a damaged file before anything is computed
    agent = run.agent
    if not isinstance(agent, LearningAgent):
        raise UserError(f"suite=interference: expected a run of an agent that learns; that of {run.folder.path} does not")
    (run.folder.load if asked.when == "after" else run.folder.check_model)(agent)
    num_updates = -(-run.config.total_steps // algorithm.batch_size)
    rows, metrics = probe.Probe(agent, algorithm, run.make_env, run.config.env.gamma, num_updates, seed, asked).measure()
    settings = {**asdict(asked), **records.setting_of(run.config.env, run.changes), "seed": seed, "samples": algorithm.batch_size}
    found = report.write(run.folder, rows, metrics, settings, run.evaluated)
    report.print_interference(found)
    print_files(run.folder, report.FILES)
    share = next(iter(found["carried_over"].values()))
    return float("nan") if share is None else float(share)


def measurable(run: Finished, suite: str) -> LanguageModel:
    """Return the run's language model; raise UserError if it trained none, or one whose retention cannot be measured."""
    model = language_model(run, suite)
    if model.base.config.is_encoder_decoder:
        raise UserError(f"suite={suite}: {model.name} {UNMEASURED}; expected a run with a decoder-only model, choose another")
    return model


Suite = Callable[[Finished], float]
SUITES: dict[str, Suite] = {suite.__name__: suite for suite in (episodes, unseen, cross, glam, drift, retention, interference)}


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
            added |= _new(run, kept)
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


def _new(run: Finished, kept: Sequence[Record]) -> bool:
    """Return whether this evaluation added any of the records."""
    return any(record.get(records.LATER) == run.evaluated for record in kept)


def stages(run: Finished) -> Iterator[tuple[str, Agent]]:
    """Yield the value of "when" in records, and the agent."""
    yield "random", RandomAgent()
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
