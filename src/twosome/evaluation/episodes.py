"""Play whole episodes with an agent, many at once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from twosome import generators, seeding
from twosome.agents.agent import Agent, likeliest, sample
from twosome.envs.vector import Episode, Outcome, Player
from twosome.errors import visible

SIDE_BY_SIDE = 128
"""Episodes played at once. Most of their decisions are equal, so the language model's work hardly grows with their number."""


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


def act(
    agent: Agent, players: Sequence[Player], generator: torch.Generator, greedy: bool
) -> Iterator[tuple[Player, int, Outcome, Tensor]]:
    """Do an action in each player's episode; yield the player, its choice, the outcome and the log-policy, (A,), padded.

    greedy: choose the most probable action instead of sampling with the generator.
    """
    decisions = [player.decision for player in players]
    log_policy = agent.log_policy(decisions)
    choices = (likeliest if greedy else sample)(log_policy, generator).tolist()
    for player, choice, row, memory in zip(players, choices, log_policy, agent.remember(decisions), strict=True):
        yield player, choice, player.choose(choice, memory), row


def play(
    agent: Agent, make_env: Callable[[], gymnasium.Env], episodes: int, gamma: float, seed: int, greedy: bool, title: str = ""
) -> list[Episode]:
    """Play whole episodes, each from its own seed.

    greedy: choose the most probable action instead of sampling. The number of episodes is fixed in advance, so short episodes
    are not over-represented. title: of a progress bar, which a terminal shows if this takes more than 10 seconds.
    """
    generator = generators.of_stream(seed, "evaluation: actions")
    seeds = seeding.stream(seed, "evaluation: environments").generate_state(episodes)
    finished: list[Episode] = []
    hidden = None if title else True  # None: shown in a terminal only
    with acting(agent), tqdm(desc=visible(title), total=episodes, unit="episode", delay=10, leave=False, disable=hidden) as bar:
        for first in range(0, episodes, SIDE_BY_SIDE):
            numbers = range(first, min(first + SIDE_BY_SIDE, episodes))
            players = [Player(make_env(), gamma, number) for number in numbers]
            for player in players:
                player.reset(int(seeds[player.number]))
            while running := [player for player in players if not player.ended]:
                for player, *_ in act(agent, running, generator, greedy):
                    bar.update(player.ended)
            finished += [player.episode for player in players]
            for player in players:
                player.close()
    return finished


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
    tasks = {}
    for name, part in parts.items():
        scores = {"episodes": len(part), "success_rate": _mean(part, "success"), "return_mean": _mean(part, "discounted_return")}
        tasks[name] = scores | {"decisions_mean": _mean(part, "decisions")}
    rates = [task["success_rate"] for task in tasks.values()]
    ended = np.average(rates, weights=[1 / task["decisions_mean"] for task in tasks.values()])
    return {"tasks": tasks, "success_rate_as_ended": float(ended)}


def _mean(episodes: list[Episode], name: str) -> float:
    return float(np.mean([getattr(episode, name) for episode in episodes]))
