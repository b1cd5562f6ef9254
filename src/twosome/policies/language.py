"""TWOSOME's agent: a language model scores the actions, a critic reads the same model with the adapter off."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from twosome.config import typed
from twosome.decision import Decision, Text
from twosome.language.adapter import load_adapter
from twosome.language.config import EngineConfig
from twosome.language.loading import LanguageModel, save_adapter
from twosome.language.scorer import MASKED, Scorer
from twosome.policies.agent import LearningAgent
from twosome.policies.critic import CriticConfig, mlp

if TYPE_CHECKING:
    from twosome.experiment import AgentContext


class LanguageAgent(LearningAgent):
    """Softmax over the language model's action scores (TWOSOME section 4.1); LoRA learns, the base is frozen.

    Two memories keep the model's cost at the number of distinct decisions. The policy of a decision is kept until a
    weight changes; then all decisions of the last rollout are scored anew at once, since most will be met again. The
    critic's features come from the frozen model, so they are computed once per distinct prompt and kept for good.
    """

    export_folder = "adapter"

    def __init__(self, scorer: Scorer, hidden_sizes: Sequence[int], generator: torch.Generator) -> None:
        """scorer: the engine; hidden_sizes: the critic's layers (the paper: 1024, 512); generator: seeds the critic."""
        super().__init__()
        self.scorer = scorer
        self.lm = scorer.model
        self.critic = mlp(scorer.hidden_size, hidden_sizes, generator).to(scorer.device)
        self._adapter = [parameter for parameter in self.lm.parameters() if parameter.requires_grad]
        self._weights: tuple[int, ...] = ()
        self._policies: dict[Text, Tensor] = {}
        self._recent: dict[Text, None] = {}
        self._features: dict[str, Tensor] = {}
        self._distinct, self._tokens = 0, 0

    @property
    def language_model(self) -> LanguageModel:
        """See Agent."""
        return self.scorer.lm

    def begin_rollout(self) -> None:
        """Score all decisions of the last rollout anew when the first policy is asked for."""
        self._weights = ()

    @torch.no_grad()
    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent; each distinct decision is scored once per state of the weights."""
        texts = [decision.text for decision in decisions]
        missing = [text for text in dict.fromkeys(texts) if text not in self._policies]
        if self._weights != self._weights_version():
            missing = list(dict.fromkeys([*self._recent, *texts]))
            self._weights, self._policies, self._recent = self._weights_version(), {}, {}
        if missing:
            scores = self.scorer.score(missing)
            rows = scores.log_policy()
            self._policies.update((text, row[: len(text[1])]) for text, row in zip(missing, rows, strict=True))
            if self._adapter_is_zero():  # the adapted model is still the frozen one: the features come for nothing
                for (prompt, _), state in zip(missing, scores.prompt_states, strict=True):
                    self._features.setdefault(prompt, state)
        self._recent.update(dict.fromkeys(texts))
        policies = [self._policies[text] for text in texts]
        return nn.utils.rnn.pad_sequence(policies, batch_first=True, padding_value=MASKED)

    def log_policy_parts(self, decisions: Sequence[Decision]) -> Iterator[tuple[list[int], Tensor]]:
        """See Agent; samples that share a decision share its row, so its gradient is computed once."""
        samples: dict[Text, list[int]] = {}
        for index, decision in enumerate(decisions):
            samples.setdefault(decision.text, []).append(index)
        distinct = list(samples)
        self._distinct += len(distinct)
        for members, scores in self.scorer.batches(distinct):
            indices = [index for member in members for index in samples[distinct[member]]]
            row_of = [row for row, member in enumerate(members) for _ in samples[distinct[member]]]
            yield indices, scores.log_policy()[torch.tensor(row_of, device=self.scorer.device)]

    def features(self, decisions: Sequence[Decision]) -> tuple[Tensor, Tensor]:
        """See Agent; a row per distinct prompt, (m, hidden size), computed once in the agent's life."""
        rows = {prompt: row for row, prompt in enumerate(dict.fromkeys(decision.prompt for decision in decisions))}
        missing = [prompt for prompt in rows if prompt not in self._features]
        if missing:
            self._features.update(zip(missing, self.scorer.features(missing), strict=True))
        index = torch.tensor([rows[decision.prompt] for decision in decisions], device=self.scorer.device)
        return torch.stack([self._features[prompt] for prompt in rows]), index

    def actor_parameters(self) -> list[nn.Parameter]:
        """The adapter's weights."""
        return self._adapter

    def counters(self) -> dict[str, float]:
        """distinct_decisions scored by the updates and model_tokens computed in all, since the last call."""
        tokens, self._tokens = self.scorer.tokens_computed - self._tokens, self.scorer.tokens_computed
        distinct, self._distinct = self._distinct, 0
        return {"distinct_decisions": distinct, "model_tokens": tokens}

    def provenance(self) -> dict[str, Any]:
        """The language model's name and checksum."""
        return {"model": self.scorer.lm.name, "model_checksum": self.scorer.lm.checksum}

    def export(self, folder: Path) -> None:
        """The adapter in PEFT's own format, for ``PeftModel.from_pretrained``."""
        save_adapter(self.lm, folder)

    def load(self, folder: Path) -> None:
        """See Agent; strict: the adapter must be this model's."""
        load_adapter(self.lm, folder)

    def train(self, mode: bool = True) -> "LanguageAgent":
        """Only LoRA's own dropout is ever active: the frozen model's would make the policy differ from the one that acted."""
        super().train(mode)
        self.lm.eval()
        for name, module in self.lm.named_modules():
            if "lora_dropout" in name:
                module.train(mode)
        return self

    def get_extra_state(self) -> dict[str, Any]:
        """The memories: a score can differ in its last bits with what it was computed beside, so resuming needs them."""
        return {"decisions": [[prompt, *actions] for prompt, actions in self._recent], "features": dict(self._features)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take up the memories of a checkpoint; the policies themselves are scored again when next asked for."""
        self._weights, self._policies = (), {}
        self._recent = {(prompt, tuple(actions)): None for prompt, *actions in state["decisions"]}
        self._features = {prompt: row.to(self.scorer.device) for prompt, row in state["features"].items()}

    def _adapter_is_zero(self) -> bool:
        """Whether LoRA's B matrices are all 0, as they are until the first update."""
        return not any(bool(weight.any()) for name, weight in self.lm.named_parameters() if "lora_B" in name)

    def _weights_version(self) -> tuple[int, ...]:
        """Changes with every in-place change of the adapter's weights: PyTorch counts them."""
        return tuple(parameter._version for parameter in self._adapter)


def build(context: "AgentContext", critic: dict[str, Any], engine: dict[str, Any]) -> LanguageAgent:
    """The builder that conf/baseline/twosome.yaml names.

    critic: hidden_sizes. engine: as in EngineConfig.
    """
    sizes = typed(CriticConfig, OmegaConf.create(critic), "baseline.critic").hidden_sizes
    options = typed(EngineConfig, OmegaConf.create(engine), "baseline.engine")
    scorer = context.load_scorer(context.model, context.norm, **vars(options))
    return LanguageAgent(scorer, sizes, torch.Generator().manual_seed(context.seed))
