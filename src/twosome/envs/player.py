"""Playing one environment: the only place where environments are reset and stepped."""

from typing import Any, NamedTuple

import gymnasium

from twosome.decision import Decision
from twosome.envs.episode import Episode


class Outcome(NamedTuple):
    """What one decision led to.

    decision: what the environment offers next in the same episode; the last one where the episode ended.
    reward: of the whole macro-action. duration, primitive_steps: of the decision just made, and since the episode's start.
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
    """An environment with the decision that it offers and the episode so far.

    decision: of the last `reset` or `step`. episode: its returns are discounted by gamma per primitive step.
    """

    decision: Decision

    def __init__(self, env: gymnasium.Env, gamma: float, number: int = 0) -> None:
        """env: keeps to the contract of environments (CONTRIBUTING.md). number: of the environment among others."""
        self.env, self.gamma, self.number = env, gamma, number
        self.episode = Episode(env=number)
        self.ended = False

    def reset(self, seed: int | None = None) -> Decision:
        """Start an episode. seed: of the environment; None goes on with its generator."""
        self.episode, self.ended = Episode(env=self.number), False
        self.decision = Decision.from_step(*self.env.reset(seed=seed))
        return self.decision

    def step(self, action_id: int) -> Outcome:
        """Act, and account for it in the episode."""
        obs, reward, terminated, truncated, info = self.env.step(action_id)
        self.decision = Decision.from_step(obs, info)
        outcome = Outcome(self.decision, float(reward), int(info["duration"]), int(info["primitive_steps"]),
                          bool(terminated), bool(truncated), bool(info["success"]))  # fmt: skip
        self.episode.add(outcome.reward, outcome.primitive_steps, self.gamma)
        self.episode.terminated, self.episode.success = outcome.terminated, outcome.success
        self.ended = outcome.ended
        return outcome

    def choose(self, choice: int) -> Outcome:
        """Act by the index of an action among the decision's own."""
        return self.step(self.decision.action_ids[choice])

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, as plain values; the environment is `Resumable`."""
        return {**self.env.state(), "episode": vars(self.episode).copy()}  # type: ignore[attr-defined]

    def restore(self, state: dict[str, Any]) -> Decision:
        """Go back to a state; returns the decision offered there."""
        self.decision = Decision.from_step(*self.env.restore(state))  # type: ignore[attr-defined]
        self.episode, self.ended = Episode(**state["episode"]), False
        return self.decision
