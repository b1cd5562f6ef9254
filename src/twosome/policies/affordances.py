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
    """A success probability for each admissible action of a decision. What it has learned is its state_dict."""

    @abstractmethod
    def forward(self, decisions: Sequence[Decision]) -> Tensor:
        """Probabilities on the CPU, (n, A), in the order of the decision's actions; A is the most that any decision has, and
        what stands in the slots beyond a decision's own does not matter."""

    def prepare(self) -> None:
        """Learn, if there is anything to learn; from the run's seed alone, so that it is the same each time."""

    def provenance(self) -> dict[str, Any]:
        """What is to be known of it in provenance.json."""
        return {}


class Certain(Affordance):
    """Every action is taken to succeed."""

    def forward(self, decisions: Sequence[Decision]) -> Tensor:
        """See Affordance."""
        return torch.ones(len(decisions), max(len(decision.action_ids) for decision in decisions))


class Oracle(Affordance):
    """What the environment itself says."""

    def forward(self, decisions: Sequence[Decision]) -> Tensor:
        """See Affordance. Raises UserError where the environment says nothing, or what is no probability for each action."""
        for decision in decisions:
            given = decision.affordances
            if given is None or len(given) != len(decision.action_ids) or not all(0 <= each <= 1 for each in given):
                raise UserError(
                    f"affordance=oracle: expected a number from 0 to 1 for each of {len(decision.action_ids)} actions in the "
                    f"environment's info['affordances'] (see CONTRIBUTING.md), got {given}; use affordance=value or none"
                )
        return pad_sequence([torch.tensor(decision.affordances) for decision in decisions], batch_first=True)


def none(context: AgentContext) -> Certain:
    """The builder that conf/affordance/none.yaml names."""
    return Certain()


def oracle(context: AgentContext) -> Oracle:
    """The builder that conf/affordance/oracle.yaml names. Raises UserError where the environment says nothing."""
    env, affordance = context.make_env(), Oracle()
    affordance([Decision.from_step(*env.reset(seed=context.seed))])
    env.close()
    return affordance
