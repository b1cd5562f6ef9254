"""baseline=drrn: an agent that learns values of actions from words, without a language model (He et al. 2016)."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from twosome import generators
from twosome.agents.agent import AgentContext, Evaluation, NetworkAgent
from twosome.agents.heads import drawn, drawn_gru
from twosome.config import typed
from twosome.decision import Decision, DecisionText
from twosome.errors import check
from twosome.language.engine import MASKED
from twosome.language.loading import resolve_device
from twosome.lru_cache import LRUCache

WORD = re.compile(r"\w+|[^\w\s]")
"""A word, or a sign of punctuation."""
HASHED_TEXTS = 2**14
"""Texts whose words' numbers are remembered, some kilobytes each."""
PART_WORDS = 2**15
"""Words of the prompts of a part of `DRRN.evaluate`, padding included; in training each takes some 8 kB."""


@dataclass
class DRRNConfig:
    """The options of conf/baseline/drrn.yaml."""

    temperature: float  # of the policy, the softmax of values / temperature
    buckets: int  # rows of the words' embedding
    embedding_size: int  # of a word
    hidden_size: int  # of both GRUs, and of the layer that compares their states

    def __post_init__(self) -> None:
        for name in ("temperature", "buckets", "embedding_size", "hidden_size"):
            value = getattr(self, name)
            check(0 < value < 1e9, f"baseline.{name}", value, "a number above 0 and below 1e9")


class DRRN(NetworkAgent):
    """A deep reinforcement relevance network (He et al. 2016): Q(prompt, action) from the words of both.

    A GRU reads the prompt, another one the action. Their last states, side by side, go through a layer with ReLU to Q. The policy
    is the softmax of Q / temperature over a decision's own actions. The value of a decision is the mean of Q under this policy.

    The vocabulary needs no tokenizer: a word has two rows of the embedding, by two hashes of its characters, and is represented
    by their sum (Svenstrup et al. 2017). Two words are the same only if both hashes are, one pair of buckets^2 / 2.
    """

    joint_values = True
    has_action_values = True

    def __init__(self, config: DRRNConfig, generator: torch.Generator) -> None:
        """generator: of the initial weights, whose distributions are PyTorch's by default."""
        super().__init__()
        self.temperature, self.buckets = config.temperature, config.buckets
        self.embedding = nn.utils.skip_init(nn.Embedding, config.buckets, config.embedding_size)
        nn.init.normal_(self.embedding.weight, std=sqrt(0.5), generator=generator)  # the sum of two rows has the variance 1
        self.prompt_gru = drawn_gru(config.embedding_size, config.hidden_size, generator)
        self.action_gru = drawn_gru(config.embedding_size, config.hidden_size, generator)
        self.hidden = drawn(2 * config.hidden_size, config.hidden_size, generator, bias=True)
        self.output = drawn(config.hidden_size, 1, generator, bias=True)
        self._words: LRUCache[str, Tensor] = LRUCache(HASHED_TEXTS)

    @torch.no_grad()
    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent."""
        rows: list[Tensor] = [torch.empty(0)] * len(decisions)
        for members, found in self.evaluate(decisions):
            for index, row in zip(members, found.log_policy, strict=True):
                rows[index] = row
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=MASKED)

    def evaluate(self, decisions: Sequence[Decision], choices: Tensor | None = None) -> Iterator[tuple[list[int], Evaluation]]:
        """See LearningAgent; decisions of equal text are computed once, in parts of PART_WORDS."""
        samples: dict[DecisionText, list[int]] = {}
        for index, decision in enumerate(decisions):
            samples.setdefault(decision.text, []).append(index)
        for texts in self._parts(list(samples)):
            scores = self._action_values(texts)
            log_policy = torch.log_softmax(scores / self.temperature, dim=1)
            values = (log_policy.exp() * scores).sum(dim=1)
            rows = torch.tensor([row for row, text in enumerate(texts) for _ in samples[text]], device=scores.device)
            yield (
                [index for text in texts for index in samples[text]],
                Evaluation(log_policy[rows], values[rows], action_values=scores[rows]),
            )

    def value_function(self, decisions: Sequence[Decision]) -> Callable[[Tensor], Tensor]:
        """See LearningAgent; without gradient, which `evaluate` gives."""
        return self.evaluated_values(decisions)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return all weights as the policy's, since the values of actions are the policy."""
        return {"policy": list(self.parameters()), "value": []}

    def decision_key(self, decision: Decision) -> DecisionText:
        """See LearningAgent."""
        return decision.text

    def sizes(self, decisions: Sequence[Decision]) -> list[int]:
        """See LearningAgent: words of the prompt."""
        return [len(self._numbers(decision.prompt)) for decision in decisions]

    def _parts(self, texts: Sequence[DecisionText]) -> Iterator[list[DecisionText]]:
        """Yield the texts in parts of similar lengths, the longest prompts first."""
        lengths = {prompt: len(self._numbers(prompt)) for prompt, _ in texts}
        part: list[DecisionText] = []
        for text in sorted(texts, key=lambda text: -lengths[text[0]]):
            if part and lengths[part[0][0]] * (len(part) + 1) > PART_WORDS:
                yield part
                part = []
            part.append(text)
        yield part

    def _action_values(self, texts: Sequence[DecisionText]) -> Tensor:
        """Return Q of each decision's own actions, (n, A); padding slots hold MASKED."""
        prompts = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompt for prompt, _ in texts))}
        actions = {action: row for row, action in enumerate(dict.fromkeys(action for _, own in texts for action in own))}
        read = self._read(self.prompt_gru, list(prompts)), self._read(self.action_gru, list(actions))
        pairs = [(prompts[prompt], actions[action]) for prompt, own in texts for action in own]
        index = torch.tensor(pairs, device=self.output.weight.device)
        both = torch.cat([states[rows] for states, rows in zip(read, index.T, strict=True)], dim=1)
        values = self.output(torch.relu(self.hidden(both))).squeeze(1)
        rows = values.split([len(own) for _, own in texts])
        return nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=MASKED)

    def _read(self, gru: nn.GRU, texts: Sequence[str]) -> Tensor:
        """Return the state of a GRU after the last word of each text, (n, hidden_size).

        Texts are padded at their ends. (PyTorch's packed sequences take far longer to differentiate on a CPU.)
        """
        numbers = [self._numbers(text) for text in texts]
        lengths = torch.tensor(list(map(len, numbers)))
        padded = nn.utils.rnn.pad_sequence(numbers, batch_first=True).to(self.output.weight.device)
        states: Tensor = gru(self.embedding(padded).sum(dim=2))[0]
        return states[torch.arange(len(texts)), lengths - 1]

    def _numbers(self, text: str) -> Tensor:
        """Return the two rows of the embedding of each word, (words, 2)."""
        return self._words.of([text], lambda missing: (self._hashed(each) for each in missing))[text]

    def _hashed(self, text: str) -> Tensor:
        words = WORD.findall(text)
        digests = [int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big") for word in words]
        return torch.tensor([(digest % self.buckets, (digest >> 32) % self.buckets) for digest in digests])


def build(context: AgentContext, **options: Any) -> DRRN:
    """Build the agent of conf/baseline/drrn.yaml. options: as in DRRNConfig. Raises UserError."""
    config: DRRNConfig = typed(DRRNConfig, OmegaConf.create(options), "baseline")
    return DRRN(config, generators.of_stream(context.seed, "drrn")).to(resolve_device(context.model.device))
