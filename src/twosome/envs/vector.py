"""Environments side by side, whose episodes follow one another."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from twosome import seeding
from twosome.decision import Decision
from twosome.envs.episode import Episode
from twosome.envs.player import Player
from twosome.envs.resumable import Resumable


class Step(NamedTuple):
    """What happened in each of N environments after one decision.

    decisions: what each offers next; after an episode's end already the first decision of the next one.
    rewards: (N,) float64. durations, primitive_steps: (N,) ints of the decision just made and since the episode's start.
    terminated, truncated, success: (N,) bool.
    final: the last decision of the episodes that ended in this step, by environment. episodes: those episodes.
    """

    decisions: list[Decision]
    rewards: np.ndarray
    durations: np.ndarray
    primitive_steps: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray
    final: dict[int, Decision]
    episodes: list[Episode]


class DecisionEnvs:
    """num_envs environments. The step that ends an episode also returns the next one's first decision, and the ended one's last
    decision separately; so every step is a transition inside one episode (gymnasium's SAME_STEP autoreset).

    make_env: of environments that keep to the contract, as `envs.checked` sees to.
    """

    def __init__(
        self, make_env: Callable[[], gymnasium.Env], num_envs: int, gamma: float = 1.0, own: range | None = None
    ) -> None:
        """num_envs: environments of the run. gamma: discount of the episodes' returns per primitive step. own: which of the
        environments are here, where they are spread over processes."""
        self.num_envs, self.own = num_envs, range(num_envs) if own is None else own
        self.players = [Player(Resumable(make_env()), gamma, number) for number in self.own]
        for player in self.players:
            player.env.set_wrapper_attr("number", player.number)  # so that `Checked` can say which one went wrong

    def reset(self, seed: int) -> list[Decision]:
        """Start every environment; the seeds are drawn from one sequence, so that no two runs' seeds overlap."""
        seeds = seeding.stream(seed, "environments").generate_state(self.num_envs)
        return [player.reset(int(seeds[player.number])) for player in self.players]

    def step(self, action_ids: Sequence[int]) -> Step:
        """Act in every environment."""
        outcomes = [player.step(action) for player, action in zip(self.players, action_ids, strict=True)]
        final = {index: outcome.decision for index, outcome in enumerate(outcomes) if outcome.ended}
        episodes = [self.players[index].episode for index in final]
        decisions = [player.reset() if player.ended else player.decision for player in self.players]
        columns = zip(*(outcome[1:] for outcome in outcomes), strict=True)
        rewards, durations, primitive_steps, terminated, truncated, success = map(np.array, columns)
        return Step(decisions, rewards, durations, primitive_steps, terminated, truncated, success, final, episodes)

    def state(self) -> list[dict[str, Any]]:
        """Everything needed to go on from here, as plain values."""
        return [player.state() for player in self.players]

    def restore(self, state: Sequence[dict[str, Any]]) -> list[Decision]:
        """Go back to a state; returns the decisions offered there."""
        return [player.restore(one) for player, one in zip(self.players, state, strict=True)]

    def close(self) -> None:
        """Close every environment."""
        for player in self.players:
            player.close()
