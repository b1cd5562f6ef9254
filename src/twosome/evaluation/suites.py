"""The evaluations of src/evaluate.py: a function for each choice of ``suite``."""

import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from statistics import mean

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from twosome import build
from twosome.errors import UserError
from twosome.evaluation import generalization, records
from twosome.evaluation.finished import (
    RESULTS,
    Finished,
    is_new,
    language_model,
    no_language_model,
    other_tasks,
    play_all,
    play_settings,
)
from twosome.evaluation.retention import benchmarks, results
from twosome.evaluation.retention.drift import DriftProbe, unmeasured
from twosome.evaluation.retention.harness import Harness
from twosome.evaluation.retention.report import FILE, add_later, measured, print_benchmarks, print_drift
from twosome.evaluation.summary import LEGEND, print_added, print_files, print_records
from twosome.evaluation.video import record
from twosome.language.loading import LanguageModel
from twosome.policies.agent import LearningAgent


def episodes(run: Finished) -> float:
    """Play one task; return the sampled policy's mean discounted return."""
    run.folder.load(run.agent)
    found = records.evaluate(run.agent, run.make_env, run.config.env, run.evaluation, "after", run.changes)
    kept = records.add(run.folder, found, run.evaluated)
    print_records(records.of_setting(records.read(run.folder), found[0]), run.config.seed, run.evaluated)
    print_added(records.FILE, is_new(run, kept), LEGEND)
    files = dict(RESULTS)
    if run.evaluation.gif:
        name = f"episode_{re.sub(r'[^A-Za-z0-9]+', '_', str(run.config.env.get('task') or run.config.env.id))}.gif"
        rgb = build.environment(run.config.env, render_mode="rgb_array")
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
    """Evaluate lm-eval's benchmarks on the model before training and after; return the mean change of accuracy.

    Each benchmark is written as soon as it is done. Raises UserError for bad data before a model is loaded.
    """
    trained = results.trained_weights(run.folder)
    if not trained:
        raise no_language_model(run, "retention")
    asked = benchmarks.load(run.benchmarks)
    model = measurable(run, "retention")
    run.folder.load(run.agent)
    harness = Harness(model, run.benchmarks.batch_tokens)
    key = {"model": model.checksum, "text": model.text_checksum, "dtype": precision(model), "lm_eval": benchmarks.version()}
    entries, added = {}, False
    for number, benchmark in enumerate(asked, 1):
        print(f"{number} of {len(asked)}: {benchmark.name}, {benchmark.items} items, before training and after", file=sys.stderr)
        own = key | {"task": benchmark.name, "data": benchmark.checksum, "limit": run.benchmarks.limit}
        before, after = (
            results.answers(own | {"adapter": checksum}, partial(harness.ask, benchmark, trained=checksum is not None))
            for checksum in (None, results.checksum_of(trained))
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
    algorithm, asked, seed = build.algorithm(run.config), run.interference, run.evaluation.seed
    probe.check_algorithm(algorithm, asked)
    run.folder.read_json(report.FILE, default={})  # raises UserError for a damaged file before anything is computed
    agent = run.agent
    if not isinstance(agent, LearningAgent):
        raise UserError(f"suite=interference: expected a run of an agent that learns; that of {run.folder.path} does not")
    run.folder.check_model(agent)
    (run.folder.load if asked.when == "after" else run.start)(agent)
    num_updates = -(-run.config.total_steps // algorithm.batch_size)
    rows, metrics = probe.Probe(agent, algorithm, run.make_env, run.config.env.gamma, num_updates, seed, asked).measure()
    settings = {**asdict(asked), **records.setting_of(run.config.env, run.changes), "seed": seed, "samples": algorithm.batch_size}
    found = report.write(run.folder, rows, metrics, settings, run.evaluated)
    report.print_interference(found)
    print_files(run.folder, report.FILES)
    share = next(iter(found["carried_over"].values()))
    return float("nan") if share is None else float(share)


def precision(model: LanguageModel) -> str:
    """Return the dtype of a model's products, and that of its weights where it is another one."""
    stored = model.tuning.weight_dtype(model.dtype)
    return model.dtype if stored == model.dtype else f"{model.dtype} with weights in {stored}"


def measurable(run: Finished, suite: str) -> LanguageModel:
    """Return the run's language model; raise UserError if it trained none, or one whose retention cannot be measured."""
    model = language_model(run, suite)
    if reason := unmeasured(model):
        raise UserError(f"suite={suite}: {reason}; choose another run")
    return model


Suite = Callable[[Finished], float]
SUITES: dict[str, Suite] = {suite.__name__: suite for suite in (episodes, unseen, cross, glam, drift, retention, interference)}
