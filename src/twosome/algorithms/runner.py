"""The environments of a run as an algorithm sees them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twosome.envs.vector import DecisionEnvs, Episode, Step


class EnvRunner:
    """Steps the environments, counts the steps and keeps the episodes that end.

    decisions: what the environments offer now. env_steps: environment steps (decisions) so far. episodes: those that ended since
    `take_episodes` was last called.
    """

    def __init__(self, envs: DecisionEnvs, seed: int, alike: int = 1) -> None:
        """seed: of the environments, which are reset. alike: episodes that start alike (`DecisionEnvs.reset`)."""
        self.envs = envs
        self.decisions = envs.reset(seed, alike)
        self.env_steps = 0
        self.episodes: list[Episode] = []

    def step(self, choices: Sequence[int], memories: Sequence[Any] | None = None) -> Step:
        """Take, in each environment, the action with this index among those that its decision offers.

        memories: what the agent that chose remembers (`Agent.remember`).
        """
        action_ids = [decision.action_ids[choice] for decision, choice in zip(self.decisions, choices, strict=True)]
        step = self.envs.step(action_ids, memories)
        self.env_steps += self.envs.num_envs
        self.episodes += [replace(episode, env_step=self.env_steps) for episode in step.episodes]
        self.decisions = step.decisions
        return step

    @property
    def starts(self) -> list[int]:
        """The number of the start of each environment's episode, equal for those that start alike; 0 if all starts differ."""
        return [place // self.envs.alike for place in self.envs.order] or [0] * self.envs.num_envs

    def take_episodes(self) -> list[Episode]:
        """The episodes that ended since the last call."""
        episodes, self.episodes = self.episodes, []
        return episodes

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here, between two updates, as plain values."""
        return {"env_steps": self.env_steps, "envs": self.envs.state(), "order": list(self.envs.order)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        self.env_steps, self.decisions = state["env_steps"], self.envs.restore(state["envs"])
        self.envs.order = list(state.get("order", []))
