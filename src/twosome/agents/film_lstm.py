"""baseline=ppo with baseline.network=film_lstm: the network of BabyAI's symbolic baseline, with a memory."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from math import prod, sqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from twosome import generators
from twosome.agents.agent import AgentContext, Evaluation, NetworkAgent
from twosome.agents.heads import drawn_gru
from twosome.agents.symbolic import own_log_policy
from twosome.decision import Decision
from twosome.envs.check import attribute, spaces
from twosome.errors import check
from twosome.language.loading import resolve_device

SIZE = 128
"""Of the image's channels, the mission's state and the memory (Chevalier-Boisvert et al. 2019, and GLAM's symbolic baseline)."""
HEAD = 64
"""Hidden units of the actor and of the critic."""
PART = 512
"""Decisions evaluated at once, in whole sequences; each takes some 200 kB in training."""


class Shape(NamedTuple):
    """What the network reads and gives: an image (rows, columns, channels), codes of words from 1 on, 0 for none; actions.

    highest: of each number of the image, by which it is divided. words: the largest code of a word.
    """

    image: tuple[int, ...]
    highest: Tensor
    words: int
    actions: int


class Film(nn.Module):
    """A block of two convolutions, whose output a mission scales and shifts by channel (Perez et al. 2018)."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.first, self.second = _Convolution(SIZE, 3, 1, generator), _Convolution(SIZE, 3, 1, generator)
        self.scale, self.shift = unit_linear(SIZE, SIZE, generator), unit_linear(SIZE, SIZE, generator)

    def forward(self, image: Tensor, mission: Tensor) -> Tensor:
        """Return the next image. image: (n, SIZE, rows, columns). mission: (n, SIZE)."""
        image = self.second(relu(self.first(image)))
        return relu(image * (1 + self.scale(mission)[:, :, None, None]) + self.shift(mission)[:, :, None, None])


class FilmLSTM(NetworkAgent):
    """An actor and a critic on a memory: an LSTM over encodings of the image, conditioned on the mission by FiLM.

    Two convolutions with max pooling, two FiLM blocks on the last state of a GRU over the mission's words, the largest value of
    each channel, an LSTM of 128; actor and critic with a layer of 64 and tanh. Weights of linear layers are normal with rows of
    norm 1, their biases 0, the others PyTorch's default.

    A group normalisation follows each convolution. GLAM's network has batch normalisation there, which computes a decision from
    those beside it, and differently for acting and for learning. The image's codes are divided by their largest.
    """

    joint_values = True

    def __init__(self, shape: Shape, recurrence: int, generator: torch.Generator) -> None:
        """generator: of the initial weights. recurrence: as in LearningAgent, from 2 on."""
        super().__init__()
        self.shape, self.recurrence = shape, recurrence
        self.highest = shape.highest
        self.embedding = nn.utils.skip_init(nn.Embedding, shape.words + 1, SIZE, padding_idx=0)
        nn.init.normal_(self.embedding.weight, generator=generator)
        self.mission = drawn_gru(SIZE, SIZE, generator)
        self.convolutions = nn.ModuleList(
            [_Convolution(shape.image[2], 2, 1, generator), _Convolution(SIZE, 3, 1, generator)],
        )
        self.films = nn.ModuleList([Film(generator), Film(generator)])
        self.memory = nn.utils.skip_init(nn.LSTMCell, SIZE, SIZE)
        for parameter in self.memory.parameters():
            nn.init.uniform_(parameter, -1 / sqrt(SIZE), 1 / sqrt(SIZE), generator=generator)
        self.actor, self.critic = _head(shape.actions, generator), _head(1, generator)
        self._last: tuple[list[Decision], Tensor] | None = None  # the latest decisions, and the memories after them

    @torch.no_grad()
    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent."""
        hidden, cells = self._advance(self._encoded(decisions), self._memories(decisions))
        self._last = list(decisions), torch.stack([hidden, cells], dim=1).cpu()
        return own_log_policy(self.actor(hidden), decisions)

    def remember(self, decisions: Sequence[Decision]) -> list[Tensor]:
        """See Agent: hidden state and cells of the LSTM, (2, SIZE) each, on the CPU."""
        if self._last is None or not _are(self._last[0], decisions):
            self.log_policy(decisions)
        assert self._last is not None
        return list(map(torch.clone, self._last[1]))

    def begin_rollout(self) -> None:
        """See Agent."""
        self._last = None

    def evaluate(self, decisions: Sequence[Decision], choices: Tensor | None = None) -> Iterator[tuple[list[int], Evaluation]]:
        """See LearningAgent."""
        yield from self.evaluate_sequences([[decision] for decision in decisions])

    def evaluate_sequences(self, sequences: Sequence[Sequence[Decision]]) -> Iterator[tuple[list[int], Evaluation]]:
        """See LearningAgent; sequences of all lengths are advanced side by side, the longest first."""
        starts = [0, *accumulate(map(len, sequences))]
        order = sorted(range(len(sequences)), key=lambda number: -len(sequences[number]))
        while order:
            size = max(1, PART // len(sequences[order[0]]))
            part, order = order[:size], order[size:]
            members, hidden, decisions = self._through_time([sequences[number] for number in part], [starts[n] for n in part])
            values = self.critic(hidden).squeeze(1)
            yield members, Evaluation(own_log_policy(self.actor(hidden), decisions), values)

    def _through_time(
        self, sequences: Sequence[Sequence[Decision]], starts: Sequence[int]
    ) -> tuple[list[int], Tensor, list[Decision]]:
        """Return the indices of all decisions, step by step, the hidden states after them, (n, SIZE), and the decisions.

        sequences: the longest first. starts: the index of each one's first decision.
        """
        by_step = [
            [number for number, sequence in enumerate(sequences) if len(sequence) > step] for step in range(len(sequences[0]))
        ]
        decisions = [sequences[number][step] for step, active in enumerate(by_step) for number in active]
        encoded = self._encoded(decisions).split(list(map(len, by_step)))
        memory, hidden = self._memories([sequence[0] for sequence in sequences]), []
        for active, inputs in zip(by_step, encoded, strict=True):
            memory = self._advance(inputs, (memory[0][: len(active)], memory[1][: len(active)]))
            hidden.append(memory[0])
        members = [starts[number] + step for step, active in enumerate(by_step) for number in active]
        return members, torch.cat(hidden), decisions

    def value_function(self, decisions: Sequence[Decision]) -> Callable[[Tensor], Tensor]:
        """See LearningAgent; without gradient, which `evaluate` gives."""
        return self.evaluated_values(decisions)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the weights; what the actor and the critic share is the policy's."""
        value = list(self.critic.parameters())
        return {"policy": [each for each in self.parameters() if all(each is not other for other in value)], "value": value}

    def _advance(self, encoded: Tensor, memory: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        hidden, cells = self.memory(encoded, memory)
        return hidden, cells

    def _memories(self, decisions: Sequence[Decision]) -> tuple[Tensor, Tensor]:
        """Return the memories before decisions, (n, SIZE) each; 0 at an episode's start."""
        nothing = torch.zeros(2, SIZE)
        stacked = torch.stack([nothing if each.memory is None else each.memory for each in decisions])
        hidden, cells = stacked.to(self.embedding.weight.device).unbind(dim=1)
        return hidden, cells

    def _encoded(self, decisions: Sequence[Decision]) -> Tensor:
        """Return what the LSTM reads, (n, SIZE)."""
        device = self.embedding.weight.device
        numbers = torch.from_numpy(np.stack([decision.obs for decision in decisions])).to(device)
        pixels = prod(self.shape.image)
        image = (numbers[:, :pixels] / self.highest.to(device)).unflatten(1, self.shape.image).permute(0, 3, 1, 2)
        mission = self._read(numbers[:, pixels:].long())
        for convolution in self.convolutions:
            image = max_pool2d(relu(convolution(image)), 2)
        for film in self.films:
            image = film(image, mission)
        return image.amax(dim=(2, 3))

    def _read(self, words: Tensor) -> Tensor:
        """Return the GRU's state after the last word of each mission, (n, SIZE). words: (n, W); equal missions are read once."""
        distinct, rows = torch.unique(words, dim=0, return_inverse=True)
        states: Tensor = self.mission(self.embedding(distinct))[0]
        ends = (distinct > 0).sum(dim=1).clamp(min=1) - 1
        return states[torch.arange(len(distinct), device=states.device), ends][rows]


class _Convolution(nn.Sequential):
    """A convolution to SIZE channels, and a group normalisation."""

    def __init__(self, channels: int, side: int, padding: int, generator: torch.Generator) -> None:
        layer = nn.utils.skip_init(nn.Conv2d, channels, SIZE, side, padding=padding)
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -1 / sqrt(channels * side**2), 1 / sqrt(channels * side**2), generator=generator)
        super().__init__(layer, nn.GroupNorm(8, SIZE))


def unit_linear(fan_in: int, fan_out: int, generator: torch.Generator) -> nn.Linear:
    """Return a linear layer with normal weights whose rows have norm 1, and without biases at first."""
    layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
    nn.init.normal_(layer.weight, generator=generator)
    layer.weight.data /= layer.weight.data.norm(dim=1, keepdim=True)
    nn.init.zeros_(layer.bias)
    return layer


def _head(outputs: int, generator: torch.Generator) -> nn.Sequential:
    return nn.Sequential(unit_linear(SIZE, HEAD, generator), nn.Tanh(), unit_linear(HEAD, outputs, generator))


def _are(one: Sequence[Decision], other: Sequence[Decision]) -> bool:
    """Return whether these are the same decisions, not only equal ones."""
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def build(context: AgentContext, recurrence: int) -> FilmLSTM:
    """Build the agent of conf/baseline/ppo.yaml with network=film_lstm. recurrence: as in LearningAgent. Raises UserError."""
    valid = 2 <= recurrence <= 10_000
    check(valid, "baseline.recurrence", recurrence, "a number of decisions from 2 to 10000; GLAM's is 20")
    env = context.make_env()
    observations, actions = spaces(env)
    image = attribute(env, "image_shape")
    env.close()
    expected = "an environment whose observation is an image and words (image_shape), as env=babyai_text; or null"
    check(image, "baseline.network", "film_lstm", expected)
    high, pixels = torch.from_numpy(observations.high), prod(image)
    shape = Shape(tuple(image), high[:pixels], int(high[pixels:].max()), int(actions.n))
    agent = FilmLSTM(shape, recurrence, generators.of_stream(context.seed, "film lstm"))
    return agent.to(resolve_device(context.model.device))
