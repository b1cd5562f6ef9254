"""TWOSOME's agent: a language model scores the actions, a critic reads the same model with the adapter off."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from twosome.config import typed
from twosome.decision import Decision, Text
from twosome.language.adapter import load_adapter
from twosome.language.config import EngineConfig
from twosome.language.loading import LanguageModel, save_adapter
from twosome.language.scorer import MASKED, Scorer, Scores
from twosome.memory import Memory
from twosome.policies.agent import Evaluation, LearningAgent, TokenTerms
from twosome.policies.context import AgentContext
from twosome.policies.critic import CriticConfig, mlp

POLICIES = 32_768
"""Decisions whose policies are remembered until a weight changes."""
FEATURE_BYTES = 64 * 2**20
"""Of the critic's features: those of 29,000 prompts for SmolLM2-135M, of 4,000 for a model of 7 billion weights."""
RECURRING = 0.25
"""The share of a rollout's decisions that were in the rollout before from which these are scored again together: in a batch a
decision costs about a quarter of what it costs alone."""


class LanguageAgent(LearningAgent):
    """Softmax over the language model's action scores (TWOSOME section 4.1); LoRA learns, the base is frozen.

    Two memories keep the model's cost at the number of distinct decisions. The policy of a decision is remembered until a weight
    changes. The decisions of the last rollout are then scored again at once, which costs less than one by one, if at least the
    share RECURRING of them had been met in the rollout before. The critic's features come from the frozen model, so those of a
    prompt never change. Both memories are bounded: POLICIES decisions, and features of FEATURE_BYTES.
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
        self._policies: Memory[Text, Tensor] = Memory(POLICIES)
        self._recent: Memory[Text, None] = Memory(POLICIES)
        self._before: set[Text] = set()
        self._again: int | None = None  # how many of _recent are in _before; None where there was no rollout before
        self._features: Memory[str, Tensor] = Memory(max(1, FEATURE_BYTES // (4 * scorer.hidden_size)))
        self._distinct, self._tokens = 0, 0

    @property
    def language_model(self) -> LanguageModel:
        """See Agent."""
        return self.scorer.lm

    def begin_rollout(self) -> None:
        """Forget the policies; where decisions recur, those of the last rollout are scored again when first asked for one."""
        self._weights = ()

    @torch.no_grad()
    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent; each distinct decision is scored once per state of the weights, as far as POLICIES goes."""
        texts = [decision.text for decision in decisions]
        wanted = list(dict.fromkeys(texts))
        if self._weights != self._weights_version():
            wanted = list(dict.fromkeys([*self._likely(), *texts]))
            self._weights = self._weights_version()
            self._policies.clear()
        policies = self._policies.of(wanted, self._score)
        self._note(dict.fromkeys(texts))
        return nn.utils.rnn.pad_sequence([policies[text] for text in texts], batch_first=True, padding_value=MASKED)

    def _likely(self) -> list[Text]:
        """The decisions that the rollout that begins will probably meet."""
        recent = list(self._recent.state())
        recurring = self._again is None or self._again >= RECURRING * len(recent)
        self._before, self._again = set(recent), 0 if recent else None
        self._recent.clear()
        return recent if recurring else []

    def _note(self, texts: dict[Text, None]) -> None:
        """Remember that the rollout met these."""
        if self._again is not None:
            self._again += sum(text in self._before for text in texts if text not in self._recent)
        self._recent.keep(texts)

    def _score(self, texts: Sequence[Text]) -> list[Tensor]:
        """The log-policies of decisions."""
        scores = self.scorer.score(texts)
        if self._adapter_is_zero():  # the adapted model is still the frozen one: the features come for nothing
            states = zip(texts, scores.prompt_states, strict=True)
            self._features.keep({prompt: state.clone() for (prompt, _), state in states if prompt not in self._features})
        return [row[: len(text[1])].clone() for text, row in zip(texts, scores.log_policy(), strict=True)]

    def evaluate(self, decisions: Sequence[Decision], choices: Tensor | None = None) -> Iterator[tuple[list[int], Evaluation]]:
        """See LearningAgent; samples that share a decision share its row, so its gradient is computed once."""
        samples: dict[Text, list[int]] = {}
        for index, decision in enumerate(decisions):
            samples.setdefault(decision.text, []).append(index)
        distinct = list(samples)
        self._distinct += len(distinct)
        for members, scores in self.scorer.batches(distinct):
            indices = [index for member in members for index in samples[distinct[member]]]
            rows = torch.tensor([row for row, member in enumerate(members) for _ in samples[distinct[member]]])
            rows = rows.to(self.scorer.device)
            tokens = None if choices is None else self._tokens_of(scores, rows, choices[torch.tensor(indices)])
            yield indices, Evaluation(scores.log_policy()[rows], tokens=tokens)

    @staticmethod
    def _tokens_of(scores: Scores, rows: Tensor, choices: Tensor) -> TokenTerms:
        """The tokens of each sample's action. rows: its decision in scores. choices: its action."""
        logprobs = scores.tokens[rows, choices.to(rows.device)]
        return TokenTerms(logprobs.nan_to_num(0.0), ~logprobs.isnan(), None)

    def features(self, decisions: Sequence[Decision]) -> tuple[Tensor, Tensor]:
        """What the critic reads: a row per distinct prompt, (m, hidden size), and each decision's row, (n,)."""
        features = self._features.of((decision.prompt for decision in decisions), self._frozen_states)
        rows = {prompt: row for row, prompt in enumerate(features)}
        index = torch.tensor([rows[decision.prompt] for decision in decisions], device=self.scorer.device)
        return torch.stack(list(features.values())), index

    def _frozen_states(self, prompts: Sequence[str]) -> Iterator[Tensor]:
        """The features of prompts; each a tensor of its own, since a row would keep those of the whole batch in memory."""
        return map(torch.clone, self.scorer.features(prompts))

    def value_function(self, decisions: Sequence[Decision]) -> Callable[[Tensor], Tensor]:
        """See LearningAgent; the critic reads features of the frozen model."""
        features, rows = self.features(decisions)
        return lambda index: self.critic(features).squeeze(-1)[rows[index]]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The adapter's and the critic's weights."""
        return {"policy": self._adapter, "value": list(self.critic.parameters())}

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
        decisions = [[prompt, *actions] for prompt, actions in self._recent.state()]
        return {"decisions": decisions, "again": self._again, "features": self._features.state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take up the memories of a checkpoint; the policies themselves are scored again when next asked for."""
        self._weights, self._before, self._again = (), set(), state["again"]
        for memory in (self._policies, self._recent, self._features):
            memory.clear()
        self._recent.keep({(prompt, tuple(actions)): None for prompt, *actions in state["decisions"]})
        self._features.keep({prompt: row.to(self.scorer.device) for prompt, row in state["features"].items()})

    def _adapter_is_zero(self) -> bool:
        """Whether LoRA's B matrices are all 0, as they are until the first update."""
        return not any(bool(weight.any()) for name, weight in self.lm.named_parameters() if "lora_B" in name)

    def _weights_version(self) -> tuple[int, ...]:
        """Changes with every in-place change of the adapter's weights: PyTorch counts them."""
        return tuple(parameter._version for parameter in self._adapter)


def build(context: AgentContext, critic: dict[str, Any], engine: dict[str, Any]) -> LanguageAgent:
    """The builder that conf/baseline/twosome.yaml names.

    critic: hidden_sizes. engine: as in EngineConfig.
    """
    sizes = typed(CriticConfig, OmegaConf.create(critic), "baseline.critic").hidden_sizes
    options = typed(EngineConfig, OmegaConf.create(engine), "baseline.engine")
    scorer = context.load_scorer(context.model, context.norm, **vars(options))
    return LanguageAgent(scorer, sizes, torch.Generator().manual_seed(context.seed))
