"""Q-learning (Watkins & Dayan 1992) with a replay buffer, on the decisions of parallel environments."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.nn.functional import smooth_l1_loss
from torch.optim import Adam, Optimizer

from twosome.agents.agent import LearningAgent, sample
from twosome.algorithms.algorithm import Algorithm, EnvRunner, Metrics, Progress, require, require_divisor, take_step
from twosome.config import typed
from twosome.decision import Decision, DecisionText
from twosome.envs.vector import Step
from twosome.errors import check

NOTHING = np.zeros(0, dtype=np.float32)
ROW = np.dtype([(name, np.int32) for name in ("prompt", "actions", "choice", "duration", "next_prompt", "next_actions")]
               + [("reward", np.float32)])  # fmt: skip
NONE = -1
"""The number in place of the texts after a terminal state."""
TEXT_BYTES = 300
"""What Python's objects and tables take for a text besides its compressed bytes."""


@dataclass(frozen=True)
class QLearningConfig:
    """The options of conf/algorithm/q_learning.yaml, which says what each means."""

    num_envs: int
    num_steps: int
    transitions_per_step: int
    minibatch_size: int
    learning_rate: float
    adam_eps: float
    max_grad_norm: float
    gamma: float
    replay_mb: int

    def __post_init__(self) -> None:
        positive = ("num_envs", "num_steps", "transitions_per_step", "minibatch_size", "learning_rate", "adam_eps",
                    "max_grad_norm", "replay_mb")  # fmt: skip
        require(self, positive, lambda value: value > 0, "a number above 0")
        require(self, ("gamma",), lambda value: 0 <= value <= 1, "a number from 0 to 1")
        require_divisor(self, "transitions_per_step")

    @property
    def batch_size(self) -> int:
        """New transitions of an update."""
        return self.num_envs * self.num_steps


class Transition(NamedTuple):
    """A decision, the index of the action taken, and what followed.

    reward: of the whole action. duration: primitive steps. following: the text of the next decision in the same episode; None
    after a terminal state.
    """

    text: DecisionText
    choice: int
    reward: float
    duration: int
    following: DecisionText | None


class Texts:
    """Distinct texts by number, compressed, each kept as long as it is used. size: their bytes in memory."""

    def __init__(self) -> None:
        self.size, self._next = 0, 0
        self._packed: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._uses: dict[int, int] = {}

    def __getitem__(self, number: int) -> str:
        return zlib.decompress(self._packed[number]).decode()

    def __len__(self) -> int:
        return len(self._packed)

    def use(self, text: str) -> int:
        """Return the number of a text, which is used once more."""
        packed = zlib.compress(text.encode(), 1)
        number = self._numbers.setdefault(packed, self._next)
        if number == self._next:
            self._next += 1
            self._packed[number], self._uses[number] = packed, 0
            self.size += TEXT_BYTES + len(packed)
        self._uses[number] += 1
        return number

    def release(self, number: int) -> None:
        """Use a text once less; it is dropped after its last use."""
        self._uses[number] -= 1
        if not self._uses[number]:
            packed = self._packed.pop(number)
            del self._uses[number], self._numbers[packed]
            self.size -= TEXT_BYTES + len(packed)

    def state(self) -> dict[str, Any]:
        """Return all texts, as tensors."""
        lengths = [len(packed) for packed in self._packed.values()]
        return {
            "next": self._next,
            "numbers": torch.tensor(list(self._packed), dtype=torch.int64),
            "uses": torch.tensor(list(self._uses.values()), dtype=torch.int64),
            "lengths": torch.tensor(lengths, dtype=torch.int64),
            "packed": _bytes(b"".join(self._packed.values())),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        numbers, every = state["numbers"].tolist(), state["packed"].numpy().tobytes()
        ends = np.cumsum(state["lengths"].numpy()).tolist()
        self._next = state["next"]
        self._packed = {number: every[a:b] for number, a, b in zip(numbers, [0, *ends], ends, strict=False)}
        self._numbers = {packed: number for number, packed in self._packed.items()}
        self._uses = dict(zip(numbers, state["uses"].tolist(), strict=True))
        self.size = TEXT_BYTES * len(numbers) + len(every)


class Replay:
    """The latest transitions, at most so many bytes of them; each distinct text is stored once.

    A transition takes ROW.itemsize bytes, 28, besides its texts. In a task with few distinct decisions there is nothing else. A
    distinct prompt of BabyAI-Text takes some 550 bytes in memory and 250 in a checkpoint.
    """

    def __init__(self, most: float) -> None:
        """most: bytes in memory."""
        self.most, self.texts = most, Texts()
        self._rows, self._first, self._count = np.zeros(0, ROW), 0, 0

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """The bytes of all transitions in memory."""
        return self._count * ROW.itemsize + self.texts.size

    def add(self, transition: Transition) -> None:
        """Add a transition, and drop the oldest ones beyond the limit; at least one is kept."""
        if self._count == len(self._rows):
            self._rows, self._first = np.concatenate([self._ordered(), np.zeros(max(self._count, 1024), ROW)]), 0
        following = (NONE, NONE) if transition.following is None else self._use(transition.following)
        own = self._use(transition.text)
        place = (self._first + self._count) % len(self._rows)
        self._rows[place] = (*own, transition.choice, transition.duration, *following, transition.reward)
        self._count += 1
        while self.size > self.most and self._count > 1:
            self._drop()

    def sample(self, count: int, generator: torch.Generator) -> list[Transition]:
        """Draw transitions uniformly, with replacement."""
        drawn = torch.randint(self._count, (count,), generator=generator).numpy()
        return [self._transition(self._rows[(self._first + index) % len(self._rows)]) for index in drawn]

    def state(self) -> dict[str, Any]:
        """Return all transitions in their order, as tensors and numbers."""
        return {"rows": _bytes(self._ordered().tobytes()), "texts": self.texts.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self._rows = np.frombuffer(state["rows"].numpy().tobytes(), ROW).copy()
        self._first, self._count = 0, len(self._rows)
        self.texts.restore(state["texts"])

    def _ordered(self) -> np.ndarray:
        return np.roll(self._rows, -self._first)[: self._count]

    def _use(self, text: DecisionText) -> tuple[int, int]:
        return self.texts.use(text[0]), self.texts.use(json.dumps(text[1]))

    def _drop(self) -> None:
        row = self._rows[self._first]
        for name in ("prompt", "actions", "next_prompt", "next_actions"):
            if row[name] != NONE:
                self.texts.release(int(row[name]))
        self._first, self._count = (self._first + 1) % len(self._rows), self._count - 1

    def _transition(self, row: np.void) -> Transition:
        following = None if row["next_prompt"] == NONE else self._text(row["next_prompt"], row["next_actions"])
        text = self._text(row["prompt"], row["actions"])
        return Transition(text, int(row["choice"]), float(row["reward"]), int(row["duration"]), following)

    def _text(self, prompt: np.int32, actions: np.int32) -> DecisionText:
        return self.texts[int(prompt)], tuple(json.loads(self.texts[int(actions)]))


def _bytes(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.zeros(0, dtype=torch.uint8)


class QLearning(Algorithm):
    """Q-learning (Watkins & Dayan 1992) from replayed transitions, on the values of actions that the agent gives.

    The target of Q(s, a) is r + gamma^duration max Q(s', a'), or r if s' is terminal; an episode cut by the step limit counts on.
    The loss is smooth L1. The agent acts by its own policy. It has to read texts, since these are what the buffer holds.
    """

    progress_metrics = ("q_loss",)

    def __init__(self, config: QLearningConfig) -> None:
        self.config, self.num_envs, self.batch_size = config, config.num_envs, config.batch_size
        self.replay = Replay(config.replay_mb * 1e6)

    def check(self, agent: LearningAgent) -> None:
        """See Algorithm."""
        check(agent.has_action_values, "algorithm", "q_learning", "an agent with values of actions, such as baseline=drrn")

    def optimizers(self, agent: LearningAgent) -> list[Optimizer]:
        """Adam."""
        return [Adam(agent.parameter_groups()["policy"], self.config.learning_rate, eps=self.config.adam_eps)]

    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> list[Transition]:
        """num_steps decisions in every environment, with actions sampled from the agent's policy."""
        found: list[Transition] = []
        for _ in range(self.config.num_steps):
            decisions = runner.decisions
            choices = sample(agent.log_policy(decisions), generator).tolist()
            step = runner.step(choices)
            found += transitions(decisions, choices, step)
        return found

    def update(
        self,
        agent: LearningAgent,
        batch: list[Transition],
        optimizers: list[Optimizer],
        progress: Progress,
        generator: torch.Generator,
    ) -> Metrics:
        """Add the new transitions to the buffer, and take an optimiser step for each transitions_per_step of them."""
        for transition in batch:
            self.replay.add(transition)
        number = self.batch_size // self.config.transitions_per_step
        steps = [self._step(agent, optimizers[0], generator, count + 1) for count in range(number)]
        means = {name: sum(step[name] for step in steps) / number for name in steps[0]}
        return means | {"policy_steps": number, "replay_size": len(self.replay), "replay_mb": self.replay.size / 1e6}

    def _step(self, agent: LearningAgent, optimizer: Optimizer, generator: torch.Generator, count: int) -> Metrics:
        """Take an optimiser step, the count-th of the update."""
        drawn = self.replay.sample(self.config.minibatch_size, generator)
        targets, sums = self.targets(agent, drawn), {"q_loss": 0.0, "q_mean": 0.0}
        for members, found in agent.evaluate([decision(each.text) for each in drawn]):
            assert found.action_values is not None  # by check
            choices = torch.tensor([drawn[index].choice for index in members], device=targets.device)
            taken = found.action_values.gather(1, choices[:, None]).squeeze(1)
            loss = smooth_l1_loss(taken, targets[members], reduction="sum") / len(drawn)
            loss.backward()
            sums["q_loss"] += float(loss.detach())
            sums["q_mean"] += float(taken.detach().sum()) / len(drawn)
        return sums | {"grad_norm": take_step(optimizer, self.config.max_grad_norm, count, **sums)}

    @torch.no_grad()
    def targets(self, agent: LearningAgent, drawn: Sequence[Transition]) -> Tensor:
        """Return the target of each transition's Q, (n,)."""
        rewards = torch.tensor([each.reward for each in drawn])
        going_on = [(index, each.following) for index, each in enumerate(drawn) if each.following is not None]
        best = torch.zeros(len(drawn))
        for members, found in agent.evaluate([decision(text) for _, text in going_on]) if going_on else ():
            assert found.action_values is not None  # by check
            best[[going_on[index][0] for index in members]] = found.action_values.amax(dim=1).cpu()
        discounts = self.config.gamma ** torch.tensor([each.duration for each in drawn])
        return (rewards + discounts * best).to(agent.parameter_groups()["policy"][0].device)

    def state_dict(self) -> dict[str, Any]:
        """Return the replay buffer."""
        return self.replay.state()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Algorithm."""
        self.replay.restore(state)


def transitions(decisions: Sequence[Decision], choices: Sequence[int], step: Step) -> list[Transition]:
    """Return a transition for each environment."""
    following: list[DecisionText | None] = [each.text for each in step.decisions]
    for env, final in step.final.items():
        following[env] = None if step.terminated[env] else final.text
    every = zip(decisions, choices, step.rewards.tolist(), step.durations.tolist(), following, strict=True)
    return [Transition(one.text, choice, reward, duration, then) for one, choice, reward, duration, then in every]


def decision(text: DecisionText) -> Decision:
    """Return a decision of this text and nothing else."""
    prompt, actions = text
    return Decision(NOTHING, prompt, tuple(range(len(actions))), actions)


def build(**options: Any) -> QLearning:
    """Build the algorithm of conf/algorithm/q_learning.yaml. options: as in QLearningConfig. Raises UserError."""
    return QLearning(typed(QLearningConfig, OmegaConf.create(options), "algorithm"))
