"""The player of one environment: the only place where environments are reset and stepped."""

from typing import Any, NamedTuple

import gymnasium

from twosome.decision import Decision
from twosome.envs.episode import Episode


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
    """An environment with its current decision and the statistics of the current episode.

    decision: of the last `reset` or `step`. episode: its returns are discounted by gamma per primitive step.
    """

    decision: Decision

    def __init__(self, env: gymnasium.Env, gamma: float, number: int = 0) -> None:
        """env: follows the contract of environments (CONTRIBUTING.md). number: the environment's index, its ``env_index``."""
        self.env, self.gamma, self.number = env, gamma, number
        if hasattr(env.unwrapped, "env_index"):
            env.unwrapped.env_index = number
        self.episode = Episode(env=number)
        self.ended = False

    def reset(self, seed: int | None = None) -> Decision:
        """Start an episode. seed: of the environment; None continues with its generator."""
        obs, info = self.env.reset(seed=seed)
        self.episode, self.ended = Episode(env=self.number, task=info.get("task", "")), False
        self.decision = Decision.from_step(obs, info)
        return self.decision

    def step(self, action_id: int, memory: Any = None) -> Outcome:
        """Do an action, and add it to the episode's statistics. memory: the next decision's."""
        obs, reward, terminated, truncated, info = self.env.step(action_id)
        self.decision = Decision.from_step(obs, info)._replace(memory=memory)
        outcome = Outcome(self.decision, float(reward), int(info["duration"]), int(info["primitive_steps"]),
                          bool(terminated), bool(truncated), bool(info["success"]))  # fmt: skip
        self.episode.add(outcome.reward, outcome.primitive_steps, self.gamma)
        self.episode.terminated, self.episode.success = outcome.terminated, outcome.success
        self.ended = outcome.ended
        return outcome

    def choose(self, choice: int, memory: Any = None) -> Outcome:
        """Do an action. choice: its index in the current decision. memory: the next decision's."""
        return self.step(self.decision.action_ids[choice], memory)

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def state(self) -> dict[str, Any]:
        """Return the state for `restore`, as plain values and the memory of the decision. The environment must be `Resumable`."""
        memory = {} if self.decision.memory is None else {"memory": self.decision.memory}
        return {**self.env.state(), "episode": vars(self.episode).copy(), **memory}  # type: ignore[attr-defined]

    def restore(self, state: dict[str, Any]) -> Decision:
        """Restore a state; return its decision."""
        restored = Decision.from_step(*self.env.restore(state))  # type: ignore[attr-defined]
        self.decision = restored._replace(memory=state.get("memory"))
        self.episode, self.ended = Episode(**state["episode"]), False
        return self.decision
