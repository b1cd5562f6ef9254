"""A language model scores the actions, and a value head reads its states: TWOSOME's agent, GLAM's, and what lies between."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from twosome import generators
from twosome.agents.agent import AgentContext, Evaluation, LearningAgent, TokenTerms
from twosome.agents.heads import PolicyHead, ValueHead, Words
from twosome.decision import Decision, DecisionText
from twosome.errors import UserError, check
from twosome.language.engine import MASKED, Engine, Scores
from twosome.language.gate import described
from twosome.language.loading import LanguageModel
from twosome.lru_cache import LRUCache

POLICIES = 32_768
"""Decisions whose policies are remembered until a weight changes."""
FEATURE_BYTES = 64 * 2**20
"""Of the critic's features: those of 29,000 prompts for SmolLM2-135M, of 4,000 for a model of 7 billion weights."""
RECURRING = 0.25
"""The share of a rollout's decisions that were in the rollout before from which these are scored again together: in a batch a
decision costs about a quarter of what it costs alone."""


class Recurrence:
    """The decisions that a rollout meets, and how many of them the rollout before had met.

    capacity: decisions at most.
    """

    def __init__(self, capacity: int) -> None:
        self._met: LRUCache[DecisionText, None] = LRUCache(capacity)
        self._before: set[DecisionText] = set()
        self._again: int | None = None  # how many of _met are in _before; None where there was no rollout before

    def begin(self) -> list[DecisionText]:
        """Begin a rollout; returns the decisions that it will probably meet, none where too few recur (RECURRING)."""
        last = list(self._met.state())
        recurring = self._again is None or self._again >= RECURRING * len(last)
        self._before, self._again = set(last), 0 if last else None
        self._met.clear()
        return last if recurring else []

    def note(self, texts: Sequence[DecisionText]) -> None:
        """Remember that the rollout met these, each given once."""
        if self._again is not None:
            self._again += sum(text in self._before for text in texts if text not in self._met)
        self._met.keep(dict.fromkeys(texts))

    def state(self) -> dict[str, Any]:
        """Return what the next rollout's beginning needs, as plain values."""
        return {"decisions": [[prompt, *actions] for prompt, actions in self._met.state()], "again": self._again}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up the entries of `state`; others are left alone."""
        self._before, self._again = set(), state["again"]
        self._met.clear()
        self._met.keep({(prompt, tuple(actions)): None for prompt, *actions in state["decisions"]})


class LanguageAgent(LearningAgent):
    """Softmax over the language model's action scores (TWOSOME section 4.1); its Tuning says what of it learns.

    Two memories keep the model's cost at the number of distinct decisions. The policy of a decision is remembered until a weight
    changes. The decisions of the last rollout are then scored again at once, which costs less than one by one, if enough of
    them had been met in the rollout before (Recurrence). A value head that reads the model as it was before training needs
    a prompt's features once. Both memories are bounded: POLICIES decisions, and features of FEATURE_BYTES.
    """

    def __init__(
        self, engine: Engine, value_head: ValueHead, generator: torch.Generator, policy_head: PolicyHead | None = None
    ) -> None:
        """generator: of the value head's initial weights. policy_head: initialised; None: Words.

        Raises UserError where nothing learns that the policy is computed from.
        """
        super().__init__()
        self.policy_head = (policy_head or Words()).to(engine.device)
        self.engine = self.policy_head.engine(engine, self._frozen)
        self.lm, self.tuning = engine.lm.model, engine.lm.tuning
        self.export_folder = self.tuning.export_folder
        value_head.initialise(engine.hidden_size, generator)
        self.critic = value_head.to(engine.device)
        self.joint_values = value_head.joint
        self._learned = [*engine.lm.learned(), *self.policy_head.parameters()]
        if not self._learned:
            raise UserError("tuning: nothing of the language model learns; expected a tuning that trains some of its weights")
        self._weights: tuple[int, ...] = ()
        self._policies: LRUCache[DecisionText, tuple[Tensor, Tensor | None]] = LRUCache(POLICIES)
        self._recurrence = Recurrence(POLICIES)
        self._base: LRUCache[DecisionText, Tensor] = LRUCache(POLICIES)
        self._features: LRUCache[str, Tensor] = LRUCache(max(1, FEATURE_BYTES // (4 * engine.hidden_size)))
        self._distinct, self._tokens = 0, 0

    @property
    def language_model(self) -> LanguageModel:
        """See Agent."""
        return self.engine.lm

    def begin_rollout(self) -> None:
        """Forget the policies; where decisions recur, those of the last rollout are scored again when first asked for one."""
        self._weights = ()

    @torch.no_grad()
    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent; each distinct decision is scored once per state of the weights, as far as POLICIES goes."""
        return _padded([policy for policy, _ in self._remembered(decisions)])

    def _remembered(self, decisions: Sequence[Decision]) -> list[tuple[Tensor, Tensor | None]]:
        """The log-policy of each decision, (actions,), and its value, (), where the value head is joint."""
        texts = self.texts(decisions)
        wanted = distinct = list(dict.fromkeys(texts))
        if self._weights != self._weights_version():
            wanted = list(dict.fromkeys([*self._recurrence.begin(), *distinct]))
            self._weights = self._weights_version()
            self._policies.clear()
        policies = self._policies.of(wanted, self._score)
        self._recurrence.note(distinct)
        return [policies[text] for text in texts]

    def _score(self, texts: Sequence[DecisionText]) -> list[tuple[Tensor, Tensor | None]]:
        """See _remembered."""
        scores = self.engine.score(texts)
        if self.tuning.is_reference(self.lm):
            self._keep_features(texts, scores)
        values = self.critic(scores.prompt_states).unbind() if self.joint_values else [None] * len(texts)
        return list(zip(self._own_rows(scores, texts), values, strict=True))

    def _keep_features(self, texts: Sequence[DecisionText], scores: Scores) -> None:
        """Keep what the critic reads, which scores by the model before training have for nothing."""
        if not self.joint_values:
            states = zip(texts, scores.prompt_states, strict=True)
            self._features.keep({prompt: state.clone() for (prompt, _), state in states if prompt not in self._features})

    def evaluate(self, decisions: Sequence[Decision], choices: Tensor | None = None) -> Iterator[tuple[list[int], Evaluation]]:
        """See LearningAgent; samples that share a decision share its row, so its gradient is computed once."""
        samples: dict[DecisionText, list[int]] = {}
        for index, decision in enumerate(decisions):
            samples.setdefault(self.policy_head.text(decision), []).append(index)
        distinct = list(samples)
        self._distinct += len(distinct) if torch.is_grad_enabled() else 0
        for members, scores in self.engine.batches(distinct):
            texts = [distinct[member] for member in members]
            indices = [index for text in texts for index in samples[text]]
            rows = torch.tensor([row for row, text in enumerate(texts) for _ in samples[text]], device=self.engine.device)
            terms = self.token_logprobs(scores, texts)
            tokens = None if choices is None else self._tokens_of(scores, terms, rows, choices[torch.tensor(indices)])
            values = self.critic(scores.prompt_states)[rows] if self.joint_values else None
            yield indices, Evaluation(self.policy_of(scores, terms)[rows], values, tokens)

    def token_logprobs(self, scores: Scores, texts: Sequence[DecisionText]) -> Tensor:
        """Return the log-probabilities of the actions' tokens, (D, A, T), nan in padding slots. texts: what was scored."""
        return scores.tokens

    def policy_of(self, scores: Scores, terms: Tensor) -> Tensor:
        """Return the log-policy of scored decisions, (D, A). terms: of token_logprobs."""
        return scores.log_policy()

    def _tokens_of(self, scores: Scores, terms: Tensor, rows: Tensor, choices: Tensor) -> TokenTerms:
        """The tokens of each sample's action. terms: of token_logprobs. rows: its decision in scores. choices: its action."""
        logprobs = terms[rows, choices.to(rows.device)]
        logprobs = logprobs[:, : int((~logprobs.isnan()).sum(dim=1).max())]  # an action that nobody took may be longer
        return TokenTerms(logprobs.nan_to_num(0.0), ~logprobs.isnan(), None)

    def decision_key(self, decision: Decision) -> DecisionText:
        """See LearningAgent: what the policy is computed from."""
        return self.policy_head.text(decision)

    def texts(self, decisions: Sequence[Decision]) -> list[DecisionText]:
        """Return the texts that the engine scores."""
        return list(map(self.policy_head.text, decisions))

    def sizes(self, decisions: Sequence[Decision]) -> list[int]:
        """See LearningAgent: tokens."""
        return self.engine.sizes(self.texts(decisions))

    def base_log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See LearningAgent; each distinct decision is scored once in a run, as far as POLICIES goes."""
        texts = self.texts(decisions)
        rows = self._base.of(texts, self._base_policies)
        return _padded([rows[text] for text in texts])

    def warm_cache(self, decisions: Sequence[Decision]) -> None:
        """See LearningAgent: score the policies before training, with which the critic's features come for nothing."""
        if len(self._base):  # before the first update they would be scored apart from the policies
            self._base.of(self.texts(decisions), self._base_policies)

    @torch.no_grad()
    def _base_policies(self, texts: Sequence[DecisionText]) -> list[Tensor]:
        with self.engine.reference():
            scores = self.engine.score(texts)
        self._keep_features(texts, scores)
        return self._own_rows(scores, texts)

    def _own_rows(self, scores: Scores, texts: Sequence[DecisionText]) -> list[Tensor]:
        """The log-policy of each decision, (its actions,), as a tensor of its own."""
        rows = self.policy_of(scores, self.token_logprobs(scores, texts))
        return [row[: len(actions)].clone() for row, (_, actions) in zip(rows, texts, strict=True)]

    def features(self, decisions: Sequence[Decision]) -> tuple[Tensor, Tensor]:
        """What the critic reads: a row per distinct prompt, (m, hidden size), and each decision's row, (n,)."""
        features = self._frozen([decision.prompt for decision in decisions])
        rows = {prompt: row for row, prompt in enumerate(features)}
        index = torch.tensor([rows[decision.prompt] for decision in decisions], device=self.engine.device)
        return torch.stack(list(features.values())), index

    def _frozen(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """The features of prompts, each computed once as far as FEATURE_BYTES goes."""
        # Each is a tensor of its own, since a row would keep those of the whole batch in memory.
        return self._features.of(prompts, lambda missing: map(torch.clone, self.engine.features(missing)))

    def value_function(self, decisions: Sequence[Decision]) -> Callable[[Tensor], Tensor]:
        """See LearningAgent. Joint values come without gradient: `evaluate` gives them with it."""
        if self.joint_values:
            with torch.no_grad():
                values = torch.stack([value for _, value in self._remembered(decisions) if value is not None])
            return lambda index: values[index]
        features, rows = self.features(decisions)
        self.critic.measure(features)
        return lambda index: self.critic(features)[rows[index]]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """What learns of the language model and of the policy head, and the value head's weights."""
        return {"policy": self._learned, "value": list(self.critic.parameters())}

    def counters(self) -> dict[str, float]:
        """distinct_decisions scored by the updates and model_tokens computed in all, since the last call."""
        tokens, self._tokens = self.engine.tokens_computed - self._tokens, self.engine.tokens_computed
        distinct, self._distinct = self._distinct, 0
        return {"distinct_decisions": distinct, "model_tokens": tokens}

    def provenance(self) -> dict[str, Any]:
        """The language model's name, checksum and dtype, and the check of its engine."""
        lm = self.engine.lm
        separate = bool(lm.base.config.is_encoder_decoder)
        own = {"model": lm.name, "model_checksum": lm.checksum, "model_dtype": lm.dtype}
        return own | {"encoder_decoder": separate, "engine": described(lm)}

    def export(self, folder: Path) -> None:
        """What of the language model was learned, by its Tuning, and the policy head."""
        self.tuning.export(self.lm, folder)
        self.policy_head.export(folder)

    def load(self, folder: Path) -> None:
        """See Agent; strict: the weights must be this model's."""
        self.tuning.load(self.lm, folder)
        self.policy_head.load(folder)

    def train(self, mode: bool = True) -> "LanguageAgent":
        """What is random in the language model while it learns is up to its Tuning."""
        super().train(mode)
        self.tuning.train(self.lm, mode)
        return self

    def get_extra_state(self) -> dict[str, Any]:
        """The memories: a score can differ in its last bits with what it was computed beside, so resuming needs them."""
        base = [([prompt, *actions], row) for (prompt, actions), row in self._base.state().items()]
        return {**self._recurrence.state(), "features": self._features.state(), "base": base}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take up the memories of a checkpoint; the policies themselves are scored again when next asked for."""
        self._weights = ()
        self._recurrence.load_state(state)
        for memory in (self._policies, self._features, self._base):
            memory.clear()
        self._base.keep({(prompt, tuple(actions)): row.to(self.engine.device) for (prompt, *actions), row in state["base"]})
        self._features.keep({prompt: row.to(self.engine.device) for prompt, row in state["features"].items()})

    def _weights_version(self) -> tuple[int, ...]:
        """Changes with every in-place change of what learns: PyTorch counts them."""
        learned = (*self._learned, *(self.critic.parameters() if self.joint_values else ()))
        return tuple(parameter._version for parameter in learned)


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """Return log-policies as one tensor, (n, A)."""
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=MASKED)


def build(context: AgentContext) -> LanguageAgent:
    """The builder that conf/baseline/twosome.yaml names."""
    tuning, value_head = context.part("tuning"), context.part("value_head")
    policy_head = context.parts.get("policy_head") or Words()  # runs of earlier versions have none
    learns = tuning.learns or policy_head.learns
    check(learns, "policy_head", "words", "actions where nothing of the language model learns (tuning)")
    engine = context.load_engine(tuning)
    policy_head.initialise(engine.hidden_size, context.make_env, generators.of_stream(context.seed, "policy head"))
    return LanguageAgent(engine, value_head, generators.of_stream(context.seed, "value head"), policy_head)
