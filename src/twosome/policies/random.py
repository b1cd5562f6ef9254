"""baseline=random: random play, the lower bound in every figure."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from twosome.decision import Decision
from twosome.language.engine import MASKED
from twosome.policies.agent import Agent
from twosome.policies.context import AgentContext


class RandomAgent(Agent):
    """An agent that chooses every admissible action with equal probability."""

    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent."""
        rows = [torch.zeros(len(decision.action_ids)) for decision in decisions]
        return torch.log_softmax(pad_sequence(rows, batch_first=True, padding_value=MASKED), dim=1)


def build(context: AgentContext) -> RandomAgent:
    """Build the agent of conf/baseline/random.yaml."""
    return RandomAgent()
