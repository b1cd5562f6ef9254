"""The situations in which suite=interference measures an update: those of its rollout, of the best play, and others."""

from collections.abc import Callable, Collection, Hashable, Iterable

import gymnasium
import numpy as np

from twosome import seeding
from twosome.decision import Decision
from twosome.envs.optimum import best_play
from twosome.envs.player import Player

RANDOM_DECISIONS = 20_000
"""Decisions of random play, at most, in which situations are looked for."""

MakeEnv = Callable[[], gymnasium.Env]
Identify = Callable[[Decision], Hashable]
Situations = dict[Hashable, Decision]
"""Distinct decisions by what the agent can tell them apart by (`LearningAgent.decision_key`), in the order they were met."""


def distinct(decisions: Iterable[Decision], identify: Identify) -> Situations:
    """Return the first decision of each situation."""
    found: Situations = {}
    for decision in decisions:
        found.setdefault(identify(decision), decision)
    return found


def best_path(make_env: MakeEnv, gamma: float, seed: int) -> list[tuple[Decision, int]]:
    """Return the decisions of an optimal episode, each with the id of its action; none if the best play is not known.

    seed: of the environment. The episode ends where the environment ends it or where the play repeats a state.
    """
    env = make_env()
    try:
        best = best_play(env, gamma)
        player, path = Player(env, gamma), []
        player.reset(seed)
        for action in () if best is None else best.actions:
            path.append((player.decision, action))
            if player.step(action).ended:
                break
        return path
    finally:
        env.close()


def by_random_play(
    make_env: MakeEnv, gamma: float, identify: Identify, known: Collection[Hashable], most: int, seed: int
) -> Situations:
    """Return the first situations, at most so many, that random play of an environment of its own meets and that are not known.

    All admissible actions are equally likely. The play ends after RANDOM_DECISIONS decisions.
    """
    found: Situations = {}
    random = np.random.default_rng(seeding.stream(seed, "interference: situations"))
    player = Player(make_env(), gamma)
    player.reset(int(random.integers(2**32)))
    for _ in range(RANDOM_DECISIONS):
        if len(found) >= most:
            break
        if (key := identify(player.decision)) not in known:
            found.setdefault(key, player.decision)
        player.choose(int(random.integers(len(player.decision.action_ids))))
        if player.ended:
            player.reset(int(random.integers(2**32)))
    player.close()
    return found
