"""Play whole episodes with an agent, many at once."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from tqdm import tqdm

from twosome import generators, seeding
from twosome.envs.vector import Episode, Player
from twosome.errors import visible
from twosome.policies.agent import Agent, likeliest, sample

SIDE_BY_SIDE = 128
"""Episodes played at once. Most of their decisions are equal, so the language model's work hardly grows with their number."""
PATIENCE, PAUSE = 10, 60
"""Seconds before a bar of progress is shown, and between its lines where standard error is no terminal."""


@contextmanager
def acting(agent: Agent) -> Iterator[None]:
    """Switch the agent to eval mode within the context, and restore its state afterwards, so that training does not change."""
    memories = agent.get_extra_state()
    agent.eval()
    agent.begin_rollout()
    try:
        yield
    finally:
        agent.set_extra_state(memories)


def play(
    agent: Agent, make_env: Callable[[], gymnasium.Env], episodes: int, gamma: float, seed: int, greedy: bool, title: str = ""
) -> list[Episode]:
    """Play whole episodes, each from its own seed.

    greedy: choose the most probable action instead of sampling. The number of episodes is fixed in advance, so short episodes
    are not over-represented. title: of a bar of progress, which is shown if this takes more than PATIENCE seconds.
    """
    generator = generators.of_stream(seed, "evaluation: actions")
    seeds = seeding.stream(seed, "evaluation: environments").generate_state(episodes)
    finished: list[Episode] = []
    with acting(agent), progress(title, episodes) as bar:
        for first in range(0, episodes, SIDE_BY_SIDE):
            numbers = range(first, min(first + SIDE_BY_SIDE, episodes))
            players = [Player(make_env(), gamma, number) for number in numbers]
            for player in players:
                player.reset(int(seeds[player.number]))
            while running := [player for player in players if not player.ended]:
                decisions = [player.decision for player in running]
                choices = (likeliest if greedy else sample)(agent.log_policy(decisions), generator)
                for player, choice, memory in zip(running, choices.tolist(), agent.remember(decisions), strict=True):
                    player.choose(choice, memory)
                    bar.update(player.ended)
            finished += [player.episode for player in players]
            for player in players:
                player.close()
    return finished


def progress(title: str, episodes: int) -> "tqdm[Any]":
    """Return a bar of the episodes that have ended, on standard error; none without a title."""
    pause = 0.1 if sys.stderr.isatty() else PAUSE
    return tqdm(
        desc=visible(title), total=episodes, unit="episode", delay=PATIENCE, mininterval=pause, leave=False, disable=not title
    )


def summarize(episodes: list[Episode]) -> dict[str, Any]:
    """Return mean and population standard deviation of the discounted return, success rate and mean lengths.

    If the environment mixes tasks, also the entries of `by_task`.
    """
    return {
        "episodes": len(episodes),
        "success_rate": _mean(episodes, "success"),
        "return_mean": _mean(episodes, "discounted_return"),
        "return_std": float(np.std([episode.discounted_return for episode in episodes])),
        "decisions_mean": _mean(episodes, "decisions"),
        "primitive_steps_mean": _mean(episodes, "primitive_steps"),
        **by_task(episodes),
    }


def by_task(episodes: list[Episode]) -> dict[str, Any]:
    """Return the scores of each task ("tasks") and the success rate of a training curve; {} if the environment mixes no tasks.

    The episodes of each task are about as many here, so success_rate weighs tasks equally. A training curve counts episodes as
    they end, those of short tasks more often: "success_rate_as_ended" weighs tasks by 1 / decisions_mean.
    """
    parts = {name: [each for each in episodes if each.task == name] for name in sorted({each.task for each in episodes} - {""})}
    if not parts:
        return {}
    tasks = {
        name: {
            "episodes": len(part),
            "success_rate": _mean(part, "success"),
            "return_mean": _mean(part, "discounted_return"),
            "decisions_mean": _mean(part, "decisions"),
        }
        for name, part in parts.items()
    }
    rates = [task["success_rate"] for task in tasks.values()]
    ended = np.average(rates, weights=[1 / task["decisions_mean"] for task in tasks.values()])
    return {"tasks": tasks, "success_rate_as_ended": float(ended)}


def _mean(episodes: list[Episode], name: str) -> float:
    return float(np.mean([getattr(episode, name) for episode in episodes]))
