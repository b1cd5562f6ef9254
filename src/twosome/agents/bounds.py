"""The bounds of every figure: random play below (baseline=random), optimal play above (baseline=optimal)."""

from collections.abc import Sequence
from reprlib import repr as shown

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from twosome.agents.agent import Agent, AgentContext, MakeEnv
from twosome.decision import Decision
from twosome.envs.optimum import MAX_STATES, OptimalPlay, searchable
from twosome.errors import UserError
from twosome.language.engine import MASKED


class RandomAgent(Agent):
    """An agent that chooses every admissible action with equal probability."""

    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent."""
        rows = [torch.zeros(len(decision.action_ids)) for decision in decisions]
        return torch.log_softmax(pad_sequence(rows, batch_first=True, padding_value=MASKED), dim=1)


class OptimalAgent(Agent):
    """An agent that always chooses an optimal action.

    It reads the environment's true state, since states with equal observations can have different optimal actions.
    """

    def __init__(self, best: OptimalPlay, option: str) -> None:
        """option: the option with the value optimal, for messages."""
        super().__init__()
        self.best, self.option = best, option

    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent. Raises UserError if the optimal action is not found."""
        rows = [torch.full((len(decision.action_ids),), MASKED) for decision in decisions]
        for row, decision in zip(rows, decisions, strict=True):
            row[decision.action_ids.index(self._best_action(decision))] = 0.0
        return pad_sequence(rows, batch_first=True, padding_value=MASKED)

    def _best_action(self, decision: Decision) -> int:
        action = None if decision.state is None else self.best.action(decision.state)
        if action is None:
            raise UserError(
                f"{self.option}=optimal: expected the environment's state in info['state'] (see CONTRIBUTING.md), from which at "
                f"most {MAX_STATES:,} states are reached, got {shown(decision.state)}; choose another {self.option}"
            )
        return action


def optimal_agent(make_env: MakeEnv, gamma: float, option: str) -> OptimalAgent:
    """Return the agent that plays optimally in an environment. Raises UserError if optimal play cannot be computed.

    gamma: discount per primitive step. option: the option with the value optimal, for messages.
    """
    env = make_env()
    game = searchable(env)
    if game is None:
        env.close()
        raise UserError(
            f"{option}=optimal: expected an environment that can be searched for the best play, which this one cannot: it is not "
            f"Searchable (see CONTRIBUTING.md); choose another {option}"
        )
    agent = OptimalAgent(OptimalPlay(game, gamma), option)
    agent.log_policy([Decision.from_step(*env.reset(seed=0))])
    env.close()
    return agent


def random(context: AgentContext) -> RandomAgent:
    """Build the agent of conf/baseline/random.yaml."""
    return RandomAgent()


def optimal(context: AgentContext) -> OptimalAgent:
    """Build the agent of conf/baseline/optimal.yaml. Raises UserError if optimal play cannot be computed."""
    return optimal_agent(context.make_env, context.gamma, "baseline")
