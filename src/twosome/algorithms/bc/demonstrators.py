"""Who demonstrates: an agent, or an environment that knows how its mission is done."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

from twosome.algorithms.algorithm import Sources
from twosome.algorithms.runner import EnvRunner
from twosome.decision import Decision
from twosome.errors import UserError
from twosome.policies.agent import Agent, sample
from twosome.policies.optimal import optimal_agent

OPTION = "algorithm.demonstrator"


class Demonstrator(ABC):
    """Chooses the actions from which the agent learns."""

    def begin(self) -> None:  # noqa: B027  (only agents have caches)
        """Prepare for a rollout."""

    @abstractmethod
    def choose(self, runner: EnvRunner, generator: torch.Generator) -> list[int]:
        """Return the index of the action to take in each environment, among those that its decision offers."""

    def remember(self, decisions: Sequence[Decision]) -> list[Any]:
        """Return the memories after these decisions; see `Agent.remember`."""
        return [None] * len(decisions)

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return what is remembered between rollouts, as plain values and tensors."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of `state_dict`."""


class Acting(Demonstrator):
    """An agent, whose actions are sampled from its policy."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent.requires_grad_(False).eval()

    def begin(self) -> None:
        """See Demonstrator."""
        self.agent.begin_rollout()

    def choose(self, runner: EnvRunner, generator: torch.Generator) -> list[int]:
        """See Demonstrator."""
        return sample(self.agent.log_policy(runner.decisions), generator).tolist()

    def remember(self, decisions: Sequence[Decision]) -> list[Any]:
        """See Demonstrator."""
        return self.agent.remember(decisions)

    def state_dict(self) -> dict[str, Any]:
        """Return the agent's caches, on which the last bits of its policy depend."""
        return self.agent.get_extra_state()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Demonstrator."""
        self.agent.set_extra_state(state)


class Planning(Demonstrator):
    """The environments' own demonstrations (`DecisionEnvs.demonstrations`): all actions of an episode, when it begins."""

    def __init__(self) -> None:
        self._plans: dict[int, list[int]] = {}

    def choose(self, runner: EnvRunner, generator: torch.Generator) -> list[int]:
        """See Demonstrator."""
        self._plans |= runner.envs.demonstrations([env for env in range(runner.envs.num_envs) if not self._plans.get(env)])
        actions = [self._plans[env].pop(0) for env in range(runner.envs.num_envs)]
        return [decision.action_ids.index(action) for decision, action in zip(runner.decisions, actions, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return the actions that are left."""
        return {"plans": self._plans}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Demonstrator."""
        self._plans = {env: list(plan) for env, plan in state["plans"].items()}


def make(name: str, sources: Sources) -> Demonstrator:
    """Return the demonstrator of this name; see BCConfig. Raises UserError if there is none in this environment."""
    if name == "optimal":
        return Acting(optimal_agent(sources.make_env, sources.gamma, OPTION))
    if name != "bot":
        return Acting(sources.load_agent(name, OPTION))
    env = sources.make_env()
    try:
        if not hasattr(env.unwrapped, "demonstration"):
            raise UserError(
                f"{OPTION}=bot: expected an environment with a bot, as env=babyai_text; {type(env.unwrapped).__name__} has none; "
                "choose optimal, or the folder of a finished run"
            )
        env.reset(seed=0)
        env.unwrapped.demonstration()
    finally:
        env.close()
    return Planning()
