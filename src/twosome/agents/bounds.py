"""The bounds of every figure: random play below (baseline=random), optimal play above (baseline=optimal)."""

from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from twosome.agents.agent import Agent, AgentContext, MakeEnv
from twosome.decision import Decision
from twosome.envs.optimum import MAX_STATES, best_actions
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

    def __init__(self, best: Mapping[Hashable, int]) -> None:
        """best: the id of an optimal action for each state."""
        super().__init__()
        self.best = best

    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent."""
        rows = [torch.full((len(decision.action_ids),), MASKED) for decision in decisions]
        for row, decision in zip(rows, decisions, strict=True):
            row[decision.action_ids.index(self.best[decision.state])] = 0.0
        return pad_sequence(rows, batch_first=True, padding_value=MASKED)


def optimal_agent(make_env: MakeEnv, gamma: float, option: str) -> OptimalAgent:
    """Return the agent that plays optimally in an environment. Raises UserError if optimal play cannot be computed.

    gamma: discount per primitive step. option: the option with the value optimal, for messages.
    """
    env = make_env()
    try:
        best = best_actions(env, gamma)
        state = env.reset(seed=0)[1].get("state")
    finally:
        env.close()
    if best is None:
        raise UserError(
            f"{option}=optimal: expected an environment that can be searched for the best play, which this one cannot: it is not "
            f"Searchable (see CONTRIBUTING.md) or has more than {MAX_STATES:,} states; choose another {option}"
        )
    if state not in best:
        raise UserError(
            f"{option}=optimal: expected the environment's state in info['state'] (see CONTRIBUTING.md), "
            f"got {state!r}; choose another {option}"
        )
    return OptimalAgent(best)


def random(context: AgentContext) -> RandomAgent:
    """Build the agent of conf/baseline/random.yaml."""
    return RandomAgent()


def optimal(context: AgentContext) -> OptimalAgent:
    """Build the agent of conf/baseline/optimal.yaml. Raises UserError if optimal play cannot be computed."""
    return optimal_agent(context.make_env, context.gamma, "baseline")
