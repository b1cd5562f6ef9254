"""Heads of language agents on a model's hidden states: values of decisions, and what the policy is the softmax of."""

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from twosome.agents.agent import MakeEnv, load_weights, save_weights
from twosome.decision import Decision, DecisionText
from twosome.envs.check import spaces
from twosome.errors import check
from twosome.language.engine import MASKED, Engine, Scores

FILE = "action_head.safetensors"
States = Callable[[Sequence[str]], Mapping[str, Tensor]]
"""Returns the states of prompts, (hidden,) each, by prompt."""


def check_hidden_sizes(option: str, sizes: Sequence[int], example: str) -> None:
    """Raise UserError unless an MLP can have hidden layers of these sizes. option: the one that holds them."""
    check(min(sizes, default=1) > 0, option, list(sizes), f"numbers above 0, as in {example}")


def mlp(inputs: int, hidden_sizes: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Return a float32 MLP, (n, inputs) to (n, 1), with ReLU and without biases, like TWOSOME's critic (1024, 512).

    Weights are drawn from generator, uniformly within 1 / sqrt(fan-in), as PyTorch does by default.
    """
    sizes = [inputs, *hidden_sizes, 1]
    layers = [layer for pair in pairwise(sizes) for layer in (drawn(*pair, generator), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def sigmoid_mlp(sizes: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Return a float32 MLP with layers of these sizes and sigmoids between them, like GLAM's heads; drawn as `drawn` says."""
    layers = [layer for pair in pairwise(sizes) for layer in (drawn(*pair, generator, bias=True), nn.Sigmoid())]
    return nn.Sequential(*layers[:-1])


def drawn(fan_in: int, fan_out: int, generator: torch.Generator, bias: bool = False) -> nn.Linear:
    """Return a float32 linear layer whose weights are drawn from generator, as `mlp` says; so is its bias, if it has one."""
    linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out, bias=bias)
    for parameter in linear.parameters():
        nn.init.uniform_(parameter, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)
    return linear


def drawn_gru(inputs: int, hidden_size: int, generator: torch.Generator) -> nn.GRU:
    """Return a float32 GRU, batch first, whose weights are drawn from generator uniformly within 1 / sqrt(hidden size)."""
    with torch.device("meta"):  # nn.GRU would draw from PyTorch's own generator
        gru = nn.GRU(inputs, hidden_size, batch_first=True)
    gru = gru.to_empty(device="cpu")
    for parameter in gru.parameters():
        nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size), generator=generator)
    return gru


class ValueHead(nn.Module, ABC):
    """A network that computes values of decisions. Each file of conf/value_head configures one.

    joint: whether it reads the hidden states of the current model (`Scores.prompt_states`). Values are then computed with the
    policy, and their gradient flows into the model unless `forward` detaches the states. Otherwise it reads the states of the
    model before training (`Engine.features`). These never change, so they are computed once per prompt and cached.
    """

    joint: bool

    @abstractmethod
    def initialise(self, hidden_size: int, generator: torch.Generator) -> None:
        """Create the layers, with initial weights drawn from generator. hidden_size: of the states."""

    def measure(self, states: Tensor) -> None:
        """Take from the states of training's first distinct prompts, (m, hidden_size), what their standardisation needs, if any.

        It is called before values are asked for. In eval mode it changes nothing; in training mode only the first call with
        enough states does.
        """

    @abstractmethod
    def forward(self, states: Tensor) -> Tensor:
        """Compute values, (n,), from states, (n, hidden_size), float32."""


class Frozen(ValueHead):
    """TWOSOME's critic: an MLP on the frozen model's states (section 4.3; hidden layers of 1024 and 512).

    Not in the paper: states are standardised, (state - mean) / scale. mean is that of the distinct prompts of the first rollout,
    (hidden_size,); scale is the root mean square of all their deviations, one number. The states of an environment's prompts are
    nearly parallel, and Adam's steps along what they have in common switch off more than nine tenths of the first layer's ReLUs.
    """

    joint = False
    mean: Tensor
    scale: Tensor

    def __init__(self, hidden_sizes: Sequence[int], standardise: bool = True) -> None:
        """hidden_sizes: of the MLP. standardise: whether states are standardised. Raises UserError."""
        super().__init__()
        check_hidden_sizes("value_head.hidden_sizes", hidden_sizes, "[1024,512]")
        self.hidden_sizes, self.standardise, self.layers = hidden_sizes, standardise, nn.Sequential()

    def initialise(self, hidden_size: int, generator: torch.Generator) -> None:
        """See ValueHead."""
        self.layers = mlp(hidden_size, self.hidden_sizes, generator)
        self.register_buffer("mean", torch.zeros(hidden_size))
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def measure(self, states: Tensor) -> None:
        """See ValueHead."""
        if self.training and self.standardise and len(states) > 1 and not self.mean.any():
            self.mean.copy_(states.mean(dim=0))
            self.scale.copy_((states - self.mean).square().mean().sqrt())

    def forward(self, states: Tensor) -> Tensor:
        """See ValueHead."""
        values: Tensor = self.layers((states - self.mean) / self.scale).squeeze(-1)
        return values


class State(ValueHead):
    """GLAM's value head: an MLP with sigmoids on the model's own hidden state (section 3.2; hidden layers of 1024 and 1024).

    The state is that of the prompt's last token. The gradient of the values flows into the model unless detached is true.
    """

    joint = True

    def __init__(self, hidden_sizes: Sequence[int], detached: bool = False) -> None:
        """hidden_sizes: of the MLP. detached: whether the gradient of the values stops at the hidden state. Raises UserError."""
        super().__init__()
        check_hidden_sizes("value_head.hidden_sizes", hidden_sizes, "[1024,512]")
        self.hidden_sizes, self.detached, self.layers = hidden_sizes, detached, nn.Sequential()

    def initialise(self, hidden_size: int, generator: torch.Generator) -> None:
        """See ValueHead. Weights and biases are drawn as PyTorch does by default."""
        self.layers = sigmoid_mlp([hidden_size, *self.hidden_sizes, 1], generator)

    def forward(self, states: Tensor) -> Tensor:
        """See ValueHead."""
        values: Tensor = self.layers(states.detach() if self.detached else states).squeeze(-1)
        return values


class PolicyHead(nn.Module, ABC):
    """What a language agent's policy is the softmax of. Each file of conf/policy_head configures one.

    learns: whether the head has weights.
    """

    learns: bool

    @abstractmethod
    def initialise(self, hidden_size: int, make_env: MakeEnv, generator: torch.Generator) -> None:
        """Create the layers, if any. hidden_size: of the model's states. generator: of initial weights."""

    @abstractmethod
    def text(self, decision: Decision) -> DecisionText:
        """Return the key by which `engine` scores a decision: its prompt, and a text for each of its actions."""

    @abstractmethod
    def engine(self, engine: Engine, fixed_states: States) -> Engine:
        """Return an engine that scores what `text` returns.

        engine: of the language model. fixed_states: the states of prompts by the model before training, cached.
        """

    def export(self, folder: Path) -> None:
        """Add the head's weights to a folder. By default there are none."""

    def load(self, folder: Path) -> None:
        """Load what `export` wrote. Raises UserError if it does not fit. By default there is nothing, no other head either."""
        check(not (folder / FILE).exists(), "policy_head", "words", f"actions, since the agent was trained with it: {folder}")


class Words(PolicyHead):
    """The language model's scores of the actions' words; nothing else learns."""

    learns = False

    def initialise(self, hidden_size: int, make_env: MakeEnv, generator: torch.Generator) -> None:
        """Do nothing; see PolicyHead."""

    def text(self, decision: Decision) -> DecisionText:
        """See PolicyHead."""
        return decision.text

    def engine(self, engine: Engine, fixed_states: States) -> Engine:
        """See PolicyHead."""
        return engine


class Actions(PolicyHead):
    """An MLP with sigmoids on the model's state after the prompt, with one output per action of the environment.

    These are the action heads of GLAM's ablations, of the shape of its value head. The model does not read the actions' words.
    The policy is the softmax over the outputs of a decision's own actions.
    """

    learns = True

    def __init__(self, hidden_sizes: Sequence[int]) -> None:
        """hidden_sizes: of the MLP. Raises UserError."""
        super().__init__()
        check_hidden_sizes("policy_head.hidden_sizes", hidden_sizes, "[1024,1024]")
        self.hidden_sizes, self.layers = hidden_sizes, nn.Sequential()
        self.before: dict[str, Tensor] = {}

    def initialise(self, hidden_size: int, make_env: MakeEnv, generator: torch.Generator) -> None:
        """See PolicyHead. Weights and biases are drawn as PyTorch does by default."""
        env = make_env()
        actions = int(spaces(env)[1].n)
        env.close()
        self.layers = sigmoid_mlp([hidden_size, *self.hidden_sizes, actions], generator)
        self.before = {name: weight.detach().clone() for name, weight in self.named_parameters()}

    def text(self, decision: Decision) -> DecisionText:
        """See PolicyHead; of the actions, their numbers."""
        return decision.prompt, tuple(map(str, decision.action_ids))

    def engine(self, engine: Engine, fixed_states: States) -> Engine:
        """See PolicyHead."""
        return ActionEngine(engine, self, None if engine.lm.learned() else fixed_states)

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Use the initial weights within the context."""
        now = {name: weight.data for name, weight in self.named_parameters()}
        try:
            for name, weight in self.named_parameters():
                weight.data = self.before[name].to(weight.device)
            yield
        finally:
            for name, weight in self.named_parameters():
                weight.data = now[name]

    def forward(self, states: Tensor) -> Tensor:
        """Return the outputs of all actions of the environment, (n, actions). states: (n, hidden_size), float32."""
        outputs: Tensor = self.layers(states)
        return outputs

    def export(self, folder: Path) -> None:
        """See PolicyHead."""
        save_weights(self, folder, FILE)

    def load(self, folder: Path) -> None:
        """See PolicyHead."""
        check((folder / FILE).exists(), "policy_head", "actions", f"words, since the agent was trained with it: {folder}")
        load_weights(self, folder, FILE)


class ActionEngine(Engine):
    """The engine of Actions. An action is one token, its number; its log-probability is among the decision's own actions.

    If nothing of the language model learns, a prompt's state is computed once.
    """

    def __init__(self, inner: Engine, head: Actions, fixed_states: States | None) -> None:
        """inner: of the language model. fixed_states: as in PolicyHead.engine, if nothing of the language model learns."""
        super().__init__(inner.lm, inner.normalization)
        self.inner, self.head, self.fixed_states = inner, head, fixed_states
        self.hidden_size, self.tokenize = inner.hidden_size, inner.tokenize

    @property
    def device(self) -> torch.device:
        """See Engine."""
        return self.inner.device

    def states(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """See Engine."""
        for part in self.inner.states(prompts):
            self.tokens_computed = self.inner.tokens_computed
            yield part

    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """See Engine."""
        owners: defaultdict[str, list[int]] = defaultdict(list)
        for index, (prompt, _) in enumerate(texts):
            owners[prompt].append(index)
        prompts = list(owners)
        for indices, states in self.states(prompts) if self.fixed_states is None else self._fixed(prompts):
            members = [member for index in indices for member in owners[prompts[index]]]
            rows = [row for row, index in enumerate(indices) for _ in owners[prompts[index]]]
            yield members, self._scores([texts[member][1] for member in members], states[rows])

    def sizes(self, texts: Sequence[DecisionText]) -> list[int]:
        """See Engine: tokens of the prompt."""
        return [len(self.tokenize.prompt(prompt)) for prompt, _ in texts]

    @contextmanager
    def reference(self) -> Iterator[None]:
        """See Engine."""
        with self.inner.reference(), self.head.reference():
            yield

    def _fixed(self, prompts: list[str]) -> Iterator[tuple[list[int], Tensor]]:
        assert self.fixed_states is not None
        known = self.fixed_states(prompts)
        yield list(range(len(prompts))), torch.stack([known[prompt] for prompt in prompts])

    def _scores(self, numbers: Sequence[tuple[str, ...]], states: Tensor) -> Scores:
        """Return the scores of decisions. numbers: of their actions. states: of their prompts."""
        ids = pad_sequence([torch.tensor(list(map(int, own))) for own in numbers], batch_first=True, padding_value=-1)
        ids = ids.to(states.device)
        missing = ids < 0
        scores = self.head(states).gather(1, ids.clamp(min=0)).masked_fill(missing, MASKED)
        logprobs = torch.log_softmax(scores, dim=1).masked_fill(missing, MASKED)
        tokens = logprobs.masked_fill(missing, torch.nan).unsqueeze(2)
        return Scores(logprobs, scores, states, tokens, states.new_zeros((*tokens.shape, 0)))
