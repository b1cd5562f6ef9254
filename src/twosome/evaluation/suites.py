"""The suites of src/evaluate.py: a function for each choice of ``suite``, which takes the finished run and returns one figure."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import mean
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from twosome import build
from twosome.agents.agent import Agent, LearningAgent, MakeEnv
from twosome.agents.bounds import RandomAgent
from twosome.config import EvaluationConfig, leaves
from twosome.envs.check import attribute, task_names
from twosome.errors import UserError, check_choice, visible
from twosome.evaluation import film, records
from twosome.evaluation import interference as probing
from twosome.evaluation.interference import InterferenceConfig
from twosome.evaluation.records import MODES, Record
from twosome.evaluation.retention import benchmarks
from twosome.evaluation.retention import drift as retained
from twosome.evaluation.retention.benchmarks import BenchmarkConfig
from twosome.evaluation.retention.drift import DriftProbe, unmeasured
from twosome.evaluation.summary import print_added, print_benchmarks, print_drift, print_interference, print_records
from twosome.language.loading import LanguageModel
from twosome.storage.folder import RunFolder

Setting = tuple[DictConfig, dict[str, Any]]
"""The configuration of an environment, and the options that differ from the run's own."""


@dataclass(frozen=True)
class Finished:
    """A finished run that is to be evaluated.

    config: its configuration, with the requested environment. changes: the environment's options that differ from the run's own.
    make_env: makes the requested environment. evaluation: the number of episodes, the seed, and whether to make a film.
    benchmarks, interference: the options of suite=retention and suite=interference. evaluated: the stamp of everything that is
    added to the run's folder (`records.stamp`). start: gives the agent the weights from which the run began to learn (init); by
    default those that it was built with.
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
        return build.agent(self.config, self.make_env)


def episodes(run: Finished) -> float:
    """Play one task; return the sampled policy's mean discounted return."""
    run.folder.load(run.agent)
    env = run.config.env
    found = records.evaluate(run.agent, run.make_env, env, run.evaluation, "after", run.changes)
    kept = records.add(run.folder, found, run.evaluated)
    print_records(records.of_setting(records.read(run.folder), found[0]), run.config.seed, run.evaluated)
    print_added(run.folder, records.FILE, records.has_new(kept, run.evaluated))
    if run.evaluation.gif:
        name = f"episode_{re.sub(r'[^A-Za-z0-9]+', '_', str(env.get('task') or env.id))}.gif"
        rgb = build.environment(env, render_mode="rgb_array")
        film.record(run.agent, rgb, run.folder.path / name, env.gamma, run.evaluation.seed)
    return float(found[0]["return_mean"])


def unseen(run: Finished) -> float:
    """Play all other tasks of the run's environment (TWOSOME, figure 6; VirtualHome's episodes have at most 50 steps there)."""
    own = run.folder.config.env
    return _play_all(run, "unseen", [(env, run.changes) for env in _other_tasks(run.config.env) if env.task != own.task])


def cross(run: Finished) -> float:
    """Play every task of every environment of the suite, to measure transfer from the trained task to others.

    Environments whose YAML has ``cross: false`` are left out, except the run's own.
    """
    own = run.config.env
    settings = [(own, run.changes)] + [(env, run.changes) for env in _other_tasks(own)]
    for choice in GlobalHydra.instance().config_loader().get_group_options("env"):
        env = compose("config", overrides=[f"env={choice}"]).env
        if env.id != own.id and env.get("cross", True):
            settings += [(env, {}), *((other, {}) for other in _other_tasks(env))]
    return _play_all(run, "cross", settings)


def glam(run: Finished) -> float:
    """Play the environment's tests of generalisation (GLAM, section 4.3), sampled, also by agents without a language model.

    Returns the trained agent's mean success rate over the tests, without that in the run's own setting.
    """
    _, *rates = _play_settings(run, [(run.config.env, run.changes), *_tests(run)], modes=("sampled",))
    return mean(rates)


def drift(run: Finished) -> float:
    """Compare the language model with its base on the bundled texts; return the mean KL divergence per token in nats."""
    probe = DriftProbe(language_model(run, "drift", measured=True), OmegaConf.select(run.config, "retention.limit"))
    run.folder.load(run.agent)
    found = retained.measured(probe)
    added = retained.add_later({"drift": found}, run.folder, run.evaluated)
    print_drift(found)
    print_added(run.folder, retained.FILE, added)
    return float(found["kl"])


def retention(run: Finished) -> float:
    """Evaluate lm-eval's benchmarks on the model before training and after; return the mean change of accuracy.

    Each benchmark is written as soon as it is done.
    """
    model = language_model(run, "retention", measured=True)
    asked = benchmarks.load(run.benchmarks)
    run.folder.load(run.agent)
    harness = benchmarks.Harness(model, run.benchmarks.batch_tokens)
    entries, added = {}, False
    for number, benchmark in enumerate(asked, 1):
        print(f"{number} of {len(asked)}: {benchmark.name}, {benchmark.items} items, before training and after", file=sys.stderr)
        before, after = (harness.ask(benchmark, trained) for trained in (False, True))
        entry = benchmarks.comparison(benchmark, before, after, local=run.benchmarks.data_dir is not None)
        entries[benchmark.name] = entry
        added |= retained.add_later({"benchmarks": {benchmark.name: entry}}, run.folder, run.evaluated)
    print_benchmarks(entries)
    print_added(run.folder, retained.FILE, added)
    return mean(next(iter(entry["metrics"].values()))["difference"] for entry in entries.values())


def interference(run: Finished) -> float:
    """Measure how far one update moves actions in situations that it did not contain.

    Returns the mean absolute change outside the update over that in it; nan without a value. The run's weights stay as they are.
    Raises UserError for bad options, and if the run's agent does not learn.
    """
    asked, seed = run.interference, run.evaluation.seed
    if "gamma" in run.changes:
        raise UserError(f"env.gamma={run.config.env.gamma}: expected the run's own with suite=interference; leave it out")
    check_choice("interference.when", asked.when, ("before", "after"))
    algorithm, agent = build.algorithm(run.config), run.agent
    if not isinstance(agent, LearningAgent):
        raise UserError(f"suite=interference: expected a run of an agent that learns; that of {run.folder.path} does not")
    run.folder.check_model(agent)
    (run.folder.load if asked.when == "after" else run.start)(agent)
    num_updates = -(-run.config.total_steps // algorithm.batch_size)
    rows, metrics = probing.measure(agent, algorithm, run.make_env, run.config.env.gamma, num_updates, seed, asked)
    settings = {**asdict(asked), **records.setting_of(run.config.env, run.changes), "seed": seed, "samples": algorithm.batch_size}
    found = probing.write(run.folder, rows, metrics, settings, run.evaluated)
    print_interference(probing.title(settings), found)
    share = next(iter(found["carried_over"].values()))
    return float("nan") if share is None else float(share)


SUITES: dict[str, Callable[[Finished], float]] = {
    suite.__name__: suite for suite in (episodes, unseen, cross, glam, drift, retention, interference)
}


def stages(run: Finished) -> Iterator[tuple[str, Agent]]:
    """Yield the value of "when" in records, and the agent: random play, before training, after training."""
    yield "random", RandomAgent()
    run.start(run.agent)
    yield "before", run.agent
    run.folder.load(run.agent)
    yield "after", run.agent


def _play_all(run: Finished, suite: str, settings: list[Setting]) -> float:
    """Play several tasks by all stages; return the trained agent's mean success rate when sampled.

    Raises UserError if there is no other task, or if the run trained no language model, since agents that read symbolic
    observations cannot act in environments with other observations.
    """
    language_model(run, suite)
    if not settings:
        raise UserError(f"suite={suite}: expected an environment with several tasks, got env.id={run.config.env.id}")
    return mean(_play_settings(run, settings))


def _play_settings(run: Finished, settings: list[Setting], modes: Sequence[str] = MODES) -> list[float]:
    """Play settings by all stages; return the trained agent's success rate in each of them when sampled.

    Results that the run's folder has already, with as many episodes and the same seed, are not computed again.
    """
    makers, added = [build.environment(env) for env, _ in settings], False
    for when, agent in stages(run):
        rates = []
        for (env, changes), make_env in zip(settings, makers, strict=True):
            kept = _played(run, when, records.setting_of(env, changes), modes)
            if not kept:
                new = records.evaluate(agent, make_env, env, run.evaluation, when, changes, modes)
                kept = records.add(run.folder, new, run.evaluated)
            added |= records.has_new(kept, run.evaluated)
            print_records(kept, run.config.seed, run.evaluated)
            rates.append(float(kept[0]["success_rate"]))
    print_added(run.folder, records.FILE, added)
    return rates


def _played(run: Finished, when: str, setting: Record, modes: Sequence[str]) -> list[Record]:
    """Return the latest records of an evaluation, one per mode, if the run's folder has them all from the same episodes."""
    asked = (when, run.evaluation.episodes, run.evaluation.seed)
    there = records.of_setting(records.read(run.folder), setting)
    found = {record["mode"]: record for record in there if (record["when"], record["episodes"], record["seed"]) == asked}
    return [found[mode] for mode in modes] if set(found) >= set(modes) else []


def _other_tasks(env: DictConfig) -> Iterator[DictConfig]:
    """Yield the environment's configuration with each of its other tasks."""
    for task in task_names(build.environment(env)):
        if task != env.get("task"):
            other: dict[str, Any] = {"task": task} | ({"optimum": None} if "optimum" in env else {})  # set for the run's own task
            yield OmegaConf.merge(env, other)  # type: ignore[misc]


def language_model(run: Finished, suite: str, measured: bool = False) -> LanguageModel:
    """Return the language model that the run trained; raise UserError if it trained none.

    measured: raise UserError also if the run trained no weights of the model, and if the model's retention cannot be measured.
    """
    model = run.agent.language_model
    if model is None or (measured and not model.learned()):
        raise UserError(f"suite={suite}: expected a run that trained a language model; {run.folder.path} trained none")
    if measured and (reason := unmeasured(model)):
        raise UserError(f"suite={suite}: {reason}; choose another run")
    return model


def _tests(run: Finished) -> list[Setting]:
    """Return the environment's tests of generalisation.

    The environment's attribute `tests` maps names to options below ``env`` and their values. A test that the environment refuses
    with the run's other options is left out, with a note. Raises UserError without any tests.
    """
    made, env = run.make_env(), run.config.env
    tests: Mapping[str, Mapping[str, Any]] = attribute(made, "tests", {})
    made.close()
    if not tests:
        raise UserError(f"suite=glam: expected an environment with tests, as env=babyai_text; {env.id} has none")
    found: list[Setting] = []
    own = dict(leaves(OmegaConf.to_container(env, resolve=True)))
    for name, options in tests.items():
        changed = env.copy()
        for option, value in options.items():
            OmegaConf.update(changed, option, value)
        try:
            build.environment(changed)
        except UserError as error:  # such as of a run with three actions, which cannot pick up
            print(visible(f"note: the test {name} is left out: {error}"), file=sys.stderr)
            continue
        others = {name: value for name, value in options.items() if name not in ("task", "prompt") and value != own.get(name)}
        found.append((changed, {**run.changes, **others}))
    return found
