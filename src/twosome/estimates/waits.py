"""A rough estimate of a run's time, within a factor of several, to announce long waits.

Decisions are assumed to recur as often as in the suite's own tasks.
"""

from collections.abc import Iterator
from math import ceil, sqrt
from typing import NamedTuple

from twosome.estimates.capacity import PROJECTED
from twosome.estimates.estimate import Estimate

DISTINCT = 3.0  # distinct decisions over the square root of a rollout's decisions: 96 of 1,024, 384 of 16,384
TOKENS = 1.3  # per word
UNSHARED = 0.5  # share of a prompt's words that its neighbours in a token tree do not begin with
FLOPS = {"cpu": 1e11, "cuda": 3e13}  # FLOP/s of a thread and of a GPU
DECISIONS = 20  # per episode
OVERHEAD = 5e-5  # seconds per decision outside of the environment
STEP_SECONDS = 2e-3  # seconds per optimiser step on small networks
PROBE_TOKENS = 15_000  # tokens of the drift probe


class Wait(NamedTuple):
    """A part of a run's time. basis: what it is computed from, in words. options: those that it is proportional to."""

    basis: str
    seconds: float
    options: tuple[str, ...]


def preparation(run: Estimate) -> Iterator[Wait]:
    """Yield the waits before the first update."""
    world, episodes = run.world, run.number("evaluation.episodes")
    decision = world.reset_seconds + OVERHEAD
    if episodes:
        basis = f"{episodes:,} episodes, sampled and greedy, of {DECISIONS} decisions (assumed)"
        yield Wait(basis, 2 * episodes * DECISIONS * decision, ("evaluation.episodes",))
    if run.trains and (played := run.number("affordance.episodes")):
        passes = run.number("affordance.epochs")
        seconds = played * DECISIONS * (decision + passes * STEP_SECONDS / max(1, run.number("affordance.batch_size")))
        basis = f"{played:,} episodes of random play of {DECISIONS} decisions (assumed), {passes:,} times learned from"
        yield Wait(basis, seconds, ("affordance.episodes", "affordance.epochs"))
    if run.learns:
        option = run.rollout[0]
        envs = run.number(option)
        basis = f"{envs:,} environments, {1e3 * world.make_seconds:.2g} ms for each (measured)"
        yield Wait(basis, envs * world.make_seconds, (option,))


def update(run: Estimate) -> Iterator[Wait]:
    """Yield the waits of one update."""
    reset = run.world.reset_seconds
    basis = f"{run.samples:,} decisions, {1e3 * (reset + OVERHEAD):.2g} ms for each (as for the environment's reset, measured)"
    yield Wait(basis, run.samples * (reset + OVERHEAD) / run.processes, run.rollout)
    names = ("update_epochs", "num_minibatches", "value_update_epochs", "value_num_minibatches")
    passes = tuple(map(run.of_algorithm, names))
    steps = run.number(passes[0]) * _steps_of_a_pass(run)
    every = steps + run.number(passes[2]) * run.number(passes[3])
    yield Wait(f"{every:,} optimiser steps, {1e3 * STEP_SECONDS:.0f} ms for each (assumed)", every * STEP_SECONDS, passes)
    if run.uses_language_model:
        yield _scoring(run, steps)


def _scoring(run: Estimate, steps: int) -> Wait:
    """Return the wait for the language model: forward passes in the rollout and for the critic, and both passes in updates."""
    per_decision = TOKENS * (UNSHARED * run.world.prompt_words + run.world.action_words)
    met, learned = distinct(run.samples), distinct(run.samples / max(1, _steps_of_a_pass(run)))
    seconds = per_decision * (2 * met + 2 * steps * learned) * _seconds_of_a_token(run)
    basis = (
        f"{met:,.0f} distinct decisions of some {per_decision:,.0f} tokens and {steps:,} optimiser steps, the language model at "
        f"{_rate(run) / 1e9:,.0f} GFLOP/s (assumed)"
    )
    options = (*run.rollout, run.of_algorithm("update_epochs"))
    return Wait(basis, seconds, ("env.id",) if run.world.action_words > 200 else options)


def probes(run: Estimate) -> Iterator[Wait]:
    """Yield the wait for the drift probes of a run."""
    if run.uses_language_model and (every := run.number("retention.every")):
        times = run.updates // every
        seconds = times * PROBE_TOKENS * _seconds_of_a_token(run)
        yield Wait(f"{times:,} drift probes of {PROBE_TOKENS:,} tokens", seconds, ("retention.every",))


def distinct(samples: float) -> float:
    """Return the assumed number of distinct decisions among so many."""
    return min(samples, DISTINCT * sqrt(samples))


def _steps_of_a_pass(run: Estimate) -> int:
    minibatches, accumulated = map(run.of_algorithm, ("num_minibatches", "gradient_accumulation_steps"))
    return ceil(run.number(minibatches) / max(1, run.number(accumulated)))


def _rate(run: Estimate) -> float:
    """Return the assumed FLOP/s of all processes."""
    return FLOPS[run.device] * (run.threads if run.device == "cpu" else 1) * run.processes


def _seconds_of_a_token(run: Estimate) -> float:
    """Return the seconds per token of a forward pass."""
    assert run.shape is not None
    return 2 * (run.shape.layers * run.shape.layer + PROJECTED * run.shape.embedding) / _rate(run)
