"""Affordances: how likely an action is to succeed where it is chosen (p(c_pi | s, l_pi) in SayCan, section 3).

To add one, write a builder anywhere, from an `AgentContext` to an `Affordance`, and a YAML in conf/affordance that names it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from twosome.decision import Decision
from twosome.errors import UserError
from twosome.policies.context import AgentContext


class Affordance(nn.Module, ABC):
    """A model of the success probability of each admissible action. Its state_dict holds what it has learned."""

    @abstractmethod
    def forward(self, decisions: Sequence[Decision]) -> Tensor:
        """Return success probabilities, (n, A), on the CPU, in the order of each decision's actions.

        A is the largest number of actions of a decision. The values of padding slots are ignored.
        """

    def prepare(self) -> None:
        """Learn the probabilities if they are learned. The result depends on the run's seed only."""

    def provenance(self) -> dict[str, Any]:
        """Return the affordance's entries of provenance.json."""
        return {}


class Certain(Affordance):
    """The constant 1: every action is assumed to succeed."""

    def forward(self, decisions: Sequence[Decision]) -> Tensor:
        """See Affordance."""
        return torch.ones(len(decisions), max(len(decision.action_ids) for decision in decisions))


class Oracle(Affordance):
    """The affordances that the environment itself gives."""

    def forward(self, decisions: Sequence[Decision]) -> Tensor:
        """See Affordance. Raises UserError if the environment does not give a probability for each action."""
        for decision in decisions:
            given = decision.affordances
            if given is None or len(given) != len(decision.action_ids) or not all(0 <= each <= 1 for each in given):
                raise UserError(
                    f"affordance=oracle: expected a number from 0 to 1 for each of {len(decision.action_ids)} actions in the "
                    f"environment's info['affordances'] (see CONTRIBUTING.md), got {given}; use affordance=value or none"
                )
        return pad_sequence([torch.tensor(decision.affordances) for decision in decisions], batch_first=True)


def none(context: AgentContext) -> Certain:
    """Build the affordance of conf/affordance/none.yaml."""
    return Certain()


def oracle(context: AgentContext) -> Oracle:
    """Build the affordance of conf/affordance/oracle.yaml. Raises UserError if the environment gives no affordances."""
    env, affordance = context.make_env(), Oracle()
    affordance([Decision.from_step(*env.reset(seed=context.seed))])
    env.close()
    return affordance
