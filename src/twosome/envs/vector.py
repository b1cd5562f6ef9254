"""Stepping environments decision by decision: one of them, or many side by side, with a state that a checkpoint can hold."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from twosome import seeding
from twosome.decision import Decision


@dataclass
class Episode:
    """A row of episodes.csv. Returns are sums over the episode so far.

    env_step: the run's environment steps (decisions) when the episode ended. env: the environment's index.
    discounted_return: discounted per primitive step, as in the paper's curves. raw_return: the sum of rewards.
    decisions, primitive_steps: the length. terminated: whether it ended by itself and not by the step limit. success: whether the
    task's goal was reached. task: its name, if the environment mixes tasks.
    """

    env_step: int = 0
    env: int = 0
    discounted_return: float = 0.0
    raw_return: float = 0.0
    decisions: int = 0
    primitive_steps: int = 0
    terminated: bool = False
    success: bool = False
    task: str = ""

    def row(self) -> dict[str, Any]:
        """Return the columns; without task if the environment mixes none."""
        columns = asdict(self)
        return columns if self.task else {name: value for name, value in columns.items() if name != "task"}


class Outcome(NamedTuple):
    """The outcome of one action.

    decision: the next decision of the same episode, or the last one if the episode ended. reward: of the whole macro-action.
    duration: primitive steps of the macro-action. primitive_steps: since the episode's start.
    """

    decision: Decision
    reward: float
    duration: int
    primitive_steps: int
    terminated: bool
    truncated: bool
    success: bool

    @property
    def ended(self) -> bool:
        """Whether the episode is over."""
        return self.terminated or self.truncated


class Player:
    """An environment with its current decision, the statistics of the current episode, and a state that can be restored.

    decision: of the last `reset` or `step`. episode: its returns are discounted by gamma per primitive step. ended: whether the
    episode is over.

    The state is that of the generator when the episode began, and the actions since; replaying them restores any environment
    whose random numbers all come from gymnasium's ``np_random``. So no environment needs code for checkpoints.
    """

    decision: Decision

    def __init__(self, env: gymnasium.Env, gamma: float, number: int = 0) -> None:
        """env: follows the contract of environments (CONTRIBUTING.md). number: the environment's index, its ``env_index``."""
        self.env, self.gamma, self.number = env, gamma, number
        if env.has_wrapper_attr("env_index"):
            env.set_wrapper_attr("env_index", number)
        self.episode = Episode(env=number)
        self.ended = False
        self._generator: dict[str, Any] = {}
        self._actions: list[int] = []

    def reset(self, seed: int | None = None) -> Decision:
        """Start an episode. seed: of the environment's generator; None continues with the generator as it is."""
        if seed is not None:
            self.env.np_random = np.random.default_rng(seed)  # as gymnasium.utils.seeding.np_random does
        self._generator = dict(self.env.np_random.bit_generator.state)
        self._actions = []
        obs, info = self.env.reset()
        self.episode, self.ended = Episode(env=self.number, task=info.get("task", "")), False
        self.decision = Decision.from_step(obs, info)
        return self.decision

    def step(self, action_id: int, memory: Any = None) -> Outcome:
        """Do an action, and add it to the episode's statistics. memory: the next decision's."""
        self._actions.append(int(action_id))
        obs, reward, terminated, truncated, info = self.env.step(action_id)
        self.decision = Decision.from_step(obs, info)._replace(memory=memory)
        outcome = Outcome(self.decision, float(reward), int(info["duration"]), int(info["primitive_steps"]),
                          bool(terminated), bool(truncated), bool(info["success"]))  # fmt: skip
        self.ended = outcome.ended
        episode = self.episode
        episode.discounted_return += self.gamma**episode.primitive_steps * outcome.reward
        episode.raw_return += outcome.reward
        episode.decisions += 1
        episode.primitive_steps = outcome.primitive_steps
        episode.terminated, episode.success = outcome.terminated, outcome.success
        return outcome

    def choose(self, choice: int, memory: Any = None) -> Outcome:
        """Do an action. choice: its index in the current decision. memory: the next decision's."""
        return self.step(self.decision.action_ids[choice], memory)

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def state(self) -> dict[str, Any]:
        """Return the state for `restore`, as plain values and the memory of the decision."""
        state = {"generator": self._generator, "actions": list(self._actions), "episode": vars(self.episode).copy()}
        return state if self.decision.memory is None else {**state, "memory": self.decision.memory}

    def restore(self, state: dict[str, Any]) -> Decision:
        """Restore a state of an episode that has not ended; return its decision."""
        generator = np.random.default_rng()
        generator.bit_generator.state = state["generator"]
        self.env.np_random = generator
        self.reset()
        for action in state["actions"]:
            self.step(action)
        self.decision = self.decision._replace(memory=state.get("memory"))
        self.episode = Episode(**state["episode"])
        return self.decision


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
    separately. So every step is a transition inside one episode (gymnasium's SAME_STEP autoreset).

    alike: number of consecutive episodes, in the order in which they begin, that share a seed; 1: each environment goes on with
    its generator. order: for each of the run's environments, the place of its episode in that order; empty if alike is 1.
    """

    def __init__(
        self, make_env: Callable[[], gymnasium.Env], num_envs: int, gamma: float = 1.0, own: range | None = None
    ) -> None:
        """make_env: makes environments that follow the contract (CONTRIBUTING.md). num_envs: the number of the run's
        environments. gamma: discount of the episodes' returns per primitive step. own: the indices of this process's
        environments; None: all of them."""
        self.num_envs, self.own = num_envs, range(num_envs) if own is None else own
        self.players = [Player(make_env(), gamma, number) for number in self.own]
        self.alike, self.order, self._seed = 1, list[int](), 0

    def reset(self, seed: int, alike: int = 1) -> list[Decision]:
        """Reset every environment. Their seeds are drawn from one stream, so that runs with different seeds do not share them."""
        self.alike, self._seed = alike, seed
        self.order = list(range(self.num_envs)) if alike > 1 else []
        if alike > 1:
            return [player.reset(self._start(player.number)) for player in self.players]
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
        players = [player for player in self.players if player.number in wanted]
        return {player.number: list(player.env.get_wrapper_attr("demonstration")()) for player in players}

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
