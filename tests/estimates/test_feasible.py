"""What cannot fit is refused in one line that says what would; what works is not; long waits are announced."""

import math

import gymnasium
import numpy as np
import pytest
from composing import SMALL_MACHINE, compose, estimate

from twosome.errors import UserError
from twosome.estimates.capacity import SHAPES
from twosome.estimates.estimate import GPU, MEMORY, Estimate, memory
from twosome.estimates.feasible import check, check_resources, duration, gigabytes, largest_fit, notes
from twosome.estimates.resources import World, measure
from twosome.runs.job import Job
from twosome.storage.folder import RunFolder

WORLD = World(
    env_bytes=4e3, make_seconds=2e-4, reset_seconds=5e-5, decision_bytes=1e3, numbers=20, choices=10, actions=5, prompt_words=30,
    action_words=10,
)  # fmt: skip


def refused(run: Estimate, free: dict[str, float] = SMALL_MACHINE) -> str:
    with pytest.raises(UserError) as caught:
        check(run, free)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("ppo.num_envs=1000000000", "most of it for a rollout's decisions"),
        ("ppo.num_envs=1000000000 ppo.num_steps=1", "most of it for the environments"),
        ("baseline=ppo ppo.num_steps=1000000000", "most of it for a rollout's decisions"),
        ("evaluation.episodes=1000000000", "most of it for the evaluation's episodes"),
        ("baseline=random evaluation.episodes=1000000000", "most of it for the evaluation's episodes"),
        ("total_steps=1000000000000", "of disk, most of it for the updates' metrics"),
        ("baseline=saycan affordance.episodes=1000000000", "most of it for the random play's decisions"),
        ("value_head.hidden_sizes=[1000000000]", "most of it for the critic's weights"),
        ("value_head.hidden_sizes=[1024,100000000]", "most of it for the critic's weights"),
        ("baseline=ppo baseline.hidden_sizes=[1000000000]", "most of it for the networks'"),
        ("baseline=saycan affordance.hidden_sizes=[1000000000]", "most of it for the affordance network's weights"),
        ("tuning.rank=1000000", "most of it for the adapter's weights"),
        (f"ppo.num_envs={10**400}", "most of it for a rollout's decisions"),
    ],
)
def test_what_cannot_fit_is_refused_with_what_would(words, said):
    run = estimate(*words.split(), world=WORLD)
    message = refused(run)
    option, value = words.split()[0 if words[0] != "b" or words.startswith("baseline.") else 1].split("=")
    assert message.startswith(f"{option}={value}: the run would take about ")
    assert said in message
    assert " 4 GB are free; " in message or " 1 GB are free; " in message
    most = int(message.rpartition("expected at most ")[2].partition(", all else")[0].replace(",", ""))
    check(run.limited(option, most), SMALL_MACHINE)
    refused(run.limited(option, math.ceil(1.15 * most)))


def test_an_environment_with_very_many_actions():
    many = World(**{**vars(WORLD), "actions": 1_000, "action_words": 3_000})
    check(estimate(world=many), {MEMORY: 8e9})
    (line,) = notes(estimate(world=many), 8e9)
    assert line.startswith("env.id=twosome/Overcooked-v0: about ")
    assert "until the first line of progress, most of it for 96 distinct decisions of some 3,9" in line
    more = World(**{**vars(WORLD), "actions": 10_000, "action_words": 30_000})
    message = refused(estimate(world=more), {MEMORY: 8e9})
    assert message.startswith("env.id=twosome/Overcooked-v0: the run would take about ")
    assert "the token tree of a decision with 10,000 actions" in message
    assert message.endswith("expected an environment that offers fewer actions at a time, or in fewer words")


class Shop(gymnasium.Env):
    """A shop with as many things to buy as are asked for."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), dtype=np.float32)

    def __init__(self, things: int, render_mode: str | None = None) -> None:
        self.things, self.action_space = things, gymnasium.spaces.Discrete(things)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        words = tuple(f"buy thing {number} for the house" for number in range(self.things))
        info = {"prompt": "You are in a shop and should", "action_ids": tuple(range(self.things)), "action_prompts": words,
                "duration": 0, "primitive_steps": 0, "success": False}  # fmt: skip
        return np.zeros(1, np.float32), info


def test_a_thousand_actions_are_measured_before_a_model_is_loaded(tmp_path):
    gymnasium.register("tests/Shop-v0", entry_point=Shop, order_enforce=False, disable_env_checker=True)
    try:
        config = compose("env.id=tests/Shop-v0", "env.kwargs=null", "~env.task", "~env.prompt")
        config.env.kwargs = {"things": 1_000}
        job = Job.checked(config, RunFolder(tmp_path))
        assert measure(job.make_env).action_words == 2 + 3 * 1_000
        (line,) = check_resources(Estimate.of(job.config, job.make_env), tmp_path)
    finally:
        gymnasium.registry.pop("tests/Shop-v0")
    assert line.startswith("env.id=tests/Shop-v0: about ")


def test_a_model_that_is_too_large_for_the_memory():
    run = estimate(world=WORLD)
    message = refused(Estimate(run.options, WORLD, SHAPES[-1], device="cuda"), {MEMORY: 1e12, GPU: 80e9})
    assert message.startswith("model.source=smollm2: the run would take about 143 GB of GPU memory")
    assert message.endswith("expected a smaller model, or model.dtype=bfloat16")
    check(Estimate(run.options, WORLD, SHAPES[-1], device="cuda", processes=4, here=4), {MEMORY: 1e12, GPU: 80e9})


def test_no_value_fits_where_something_else_takes_too_much():
    run = estimate("ppo.num_envs=1000000000", world=WORLD)
    assert "expected a smaller one, and less of what else takes memory" in refused(run, {MEMORY: 1e8})
    assert largest_fit(run, "ppo.num_envs", MEMORY, 1e8) == 0


@pytest.mark.parametrize(
    "words",
    ["ppo.num_envs=many", "value_head.hidden_sizes=[a,-3]", "value_head.hidden_sizes=null", "tuning.rank=x",
              "ppo.num_minibatches=0", "baseline=saycan affordance.batch_size=0", "total_steps=null"]
)  # fmt: skip
def test_what_is_no_number_is_left_to_whoever_checks_it(words):
    run = estimate(*words.split(), world=WORLD) if not words.startswith("model") else estimate(world=WORLD)
    check(run, SMALL_MACHINE)
    assert not list(notes(run, math.inf))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("ppo.num_envs=100000", "minutes until the first line of progress, most of it for"),
        (
            "evaluation.episodes=1000000",
            "until the first line of progress, most of it for 1,000,000 episodes, sampled and greedy",
        ),
        ("ppo.update_epochs=1000000000", "years until the first line of progress"),
        ("ppo.value_update_epochs=1000000000", "optimiser steps, 2 ms for each (assumed)"),
        ("total_steps=1000000000", "days in all, most of it for 976,563 updates of about "),
        ("ppo.num_envs=2 ppo.num_steps=4 total_steps=1000000 retention.every=1", "in all, most of it for 125,000 drift probes"),
        ("baseline=saycan affordance.epochs=1000000000", "years in all, most of it for 500 episodes of random play"),
        ("baseline=random evaluation.episodes=1000000", "in all, most of it for 1,000,000 episodes"),
    ],
)
def test_a_long_wait_is_announced(words, said):
    (line,) = notes(estimate(*words.split(), world=WORLD), math.inf)
    assert said in line
    assert line.startswith(f"{words.split()[-1]}: about ")


def test_what_has_no_effect_is_neither_refused_nor_announced():
    run = estimate("baseline=random", "ppo.num_envs=1000000000", "total_steps=1000000000000", world=WORLD)
    check(run, SMALL_MACHINE)
    assert not list(notes(run, math.inf))


def test_limits_of_the_engine_that_the_memory_may_not_hold():
    (line,) = notes(estimate("engine.batch_tokens=1000000000", world=WORLD), 8e9)
    assert line.startswith("engine.batch_tokens=1000000000: a forward pass has up to 40,960 tokens where no two ")
    assert line.endswith(" GB then; 8 GB are free")
    assert not list(notes(estimate("engine.batch_tokens=4096", world=WORLD), 8e9))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(90, "about 90 seconds"), (650, "about 11 minutes"), (9000, "about 2.5 hours"), (86400 * 3, "about 3 days"),
     (4e9, "about 130 years")],
)  # fmt: skip
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_sizes_in_words():
    assert [gigabytes(size) for size in (1.234e6, 5.678e9, 3.2e13, 1e30)] == ["0.00123 GB", "5.68 GB", "32,000 GB", "1e+21 GB"]


def test_the_estimate_is_below_what_a_decision_of_a_rollout_takes_in_all():
    parts = {part.what: part.size for part in memory(estimate("ppo.num_envs=64", "ppo.num_steps=16", world=WORLD))}
    assert parts["the environments"] == 64 * 5_500
    assert parts["a rollout's decisions"] == 64 * 16 * 1_190
