"""SayCan (Ahn et al. 2022): the language model's policy times the affordances of the actions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from twosome.decision import Decision, DecisionText
from twosome.language.engine import MASKED, Engine
from twosome.language.tuning import Frozen
from twosome.lru_cache import LRUCache as Memory
from twosome.policies.affordances import Affordance
from twosome.policies.agent import Agent
from twosome.policies.context import AgentContext
from twosome.policies.language import POLICIES
from twosome.policies.weights import load_weights, save_weights


class SayCanAgent(Agent):
    """The frozen language model's policy times the affordances, renormalised.

    p(c|i, s, l) is proportional to p(c_pi|s, l_pi) p(l_pi|i) (Ahn et al. 2022, section 3). If every affordance of a decision is
    0, the language model's policy alone is used. The agent does not learn in the training loop.
    """

    def __init__(self, engine: Engine, affordance: Affordance) -> None:
        super().__init__()
        self.engine, self.affordance = engine, affordance
        self.export_folder = "affordance" if affordance.state_dict() else None
        self._policies: Memory[DecisionText, Tensor] = Memory(POLICIES)

    @torch.no_grad()
    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent."""
        said = self._language(decisions)
        can = self.affordance(decisions).to(said)
        own = said > MASKED / 2
        possible = own & (can > 0)
        product = torch.where(possible, said + can.clamp(min=torch.finfo(can.dtype).tiny).log(), MASKED)
        return torch.log_softmax(torch.where(possible.any(dim=1, keepdim=True), product, said), dim=1)

    def _language(self, decisions: Sequence[Decision]) -> Tensor:
        """Return the language model's log-policies, (n, A); each distinct decision is scored once."""
        texts = [decision.text for decision in decisions]
        policies = self._policies.of(texts, self._score)
        return pad_sequence([policies[text] for text in texts], batch_first=True, padding_value=MASKED)

    def _score(self, texts: Sequence[DecisionText]) -> list[Tensor]:
        rows = self.engine.score(texts).log_policy()
        return [row[: len(text[1])].clone() for text, row in zip(texts, rows, strict=True)]

    def prepare(self) -> None:
        """Prepare the affordance; see Agent."""
        self.affordance.prepare()

    def provenance(self) -> dict[str, Any]:
        """Return the language model's name and checksum, and the affordance's entries."""
        model = {"model": self.engine.lm.name, "model_checksum": self.engine.lm.checksum}
        return model | self.affordance.provenance()

    def export(self, folder: Path) -> None:
        """Write the affordance's weights."""
        save_weights(self.affordance, folder)

    def load(self, folder: Path) -> None:
        """See Agent."""
        load_weights(self.affordance, folder)


def build(context: AgentContext, affordance: Callable[[AgentContext], Affordance]) -> SayCanAgent:
    """Build the agent of conf/baseline/saycan.yaml. affordance: builds the affordance.

    The affordance is built first, so that its errors are raised before a model is loaded.
    """
    can = affordance(context)
    return SayCanAgent(context.load_engine(Frozen()), can)
