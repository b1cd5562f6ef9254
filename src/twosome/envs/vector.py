"""A vector of environments that are reset automatically when an episode ends."""

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
    """The outcomes of one action in each of N environments.

    decisions: the next decision of each; if an episode ended, the first decision of the next one.
    rewards: (N,) float64. durations: (N,) int, primitive steps of the action. primitive_steps: (N,) int, since the episode began.
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
    """A vector of environments with automatic resets.

    The step that ends an episode returns the first decision of the next episode, and the last decision of the ended one
    separately. So every step is a transition inside one episode (gymnasium's SAME_STEP autoreset). make_env: makes environments
    that follow the contract, which `envs.checked` checks.

    alike: so many episodes in a row, in the order in which they begin, have the same seed; 1: each environment goes on with its
    generator. order: for each of the run's environments, the place of its episode in that order; empty if alike is 1.
    """

    def __init__(
        self, make_env: Callable[[], gymnasium.Env], num_envs: int, gamma: float = 1.0, own: range | None = None
    ) -> None:
        """num_envs: the number of the run's environments. gamma: discount of the episodes' returns per primitive step. own: the
        indices of this process's environments; None: all of them."""
        self.num_envs, self.own = num_envs, range(num_envs) if own is None else own
        self.players = [Player(Resumable(make_env()), gamma, number) for number in self.own]
        self.alike, self.order, self._seed = 1, list[int](), 0
        for player in self.players:
            player.env.set_wrapper_attr("number", player.number)  # `Checked` names it in its errors

    def reset(self, seed: int, alike: int = 1) -> list[Decision]:
        """Reset every environment. Their seeds are drawn from one stream, so that runs with different seeds do not share them."""
        self.alike, self._seed = alike, seed
        if alike > 1:
            self.order = list(range(self.num_envs))
            return [player.reset(self._start(player.number)) for player in self.players]
        self.order = []
        seeds = seeding.stream(seed, "environments").generate_state(self.num_envs)
        return [player.reset(int(seeds[player.number])) for player in self.players]

    def step(self, action_ids: Sequence[int], memories: Sequence[Any] | None = None) -> Step:
        """Do an action in every environment. memories: of the next decisions of the same episodes; None: they have none."""
        memories = [None] * len(action_ids) if memories is None else memories
        every = zip(self.players, action_ids, memories, strict=True)
        outcomes = [player.step(action, memory) for player, action, memory in every]
        final = {index: outcome.decision for index, outcome in enumerate(outcomes) if outcome.ended}
        episodes = [self.players[index].episode for index in final]
        seeds = self._seeds([self.own[index] for index in final])
        decisions = [player.reset(seeds.get(player.number)) if player.ended else player.decision for player in self.players]
        columns = zip(*(outcome[1:] for outcome in outcomes), strict=True)
        rewards, durations, primitive_steps, terminated, truncated, success = map(np.array, columns)
        return Step(decisions, rewards, durations, primitive_steps, terminated, truncated, success, final, episodes)

    def demonstrations(self, wanted: Sequence[int]) -> dict[int, list[int]]:
        """Return, for the environments with these indices, the action ids of a demonstration of the episode that has begun.

        The environments have the method ``demonstration`` (CONTRIBUTING.md).
        """
        return {
            player.number: list(player.env.unwrapped.demonstration())  # type: ignore[attr-defined]
            for player in self.players
            if player.number in wanted
        }

    def _seeds(self, ended: Sequence[int]) -> dict[int, int]:
        """Return the seeds of the episodes that now begin in these environments, where the environments do not draw them."""
        if self.alike == 1:
            return {}
        for env in self._ended_anywhere(ended):
            self.order[env] = max(self.order) + 1
        return {env: self._start(env) for env in ended}

    def _ended_anywhere(self, ended: Sequence[int]) -> list[int]:
        """Return which of the run's environments have ended an episode, in ascending order. ended: of this process's."""
        return sorted(ended)

    def _start(self, env: int) -> int:
        """Return the seed of an environment's episode by its place in order."""
        return int(seeding.stream(self._seed, f"start {self.order[env] // self.alike}").generate_state(1)[0])

    def state(self) -> list[dict[str, Any]]:
        """Return the states of the environments, as plain values."""
        return [player.state() for player in self.players]

    def restore(self, state: Sequence[dict[str, Any]]) -> list[Decision]:
        """Restore a state; return its decisions."""
        return [player.restore(one) for player, one in zip(self.players, state, strict=True)]

    def close(self) -> None:
        """Close every environment."""
        for player in self.players:
            player.close()
