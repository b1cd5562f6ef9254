"""Rollouts of agents with memory: samples are learned from in sequences, through which gradients flow."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from twosome.algorithms.ppo.minibatches import of_decisions
from twosome.algorithms.rollout import Batch
from twosome.envs.vector import Step
from twosome.policies.agent import Evaluation, LearningAgent


@dataclass(frozen=True)
class RecurrentBatch(Batch):
    """A batch that is divided into sequences of successive samples of one environment and one episode.

    A sequence begins with the memory that the agent had there in the rollout, and a minibatch has whole sequences.
    """

    sequences: list[list[int]]

    def minibatches(self, parts: int, generator: torch.Generator) -> list[Tensor]:
        """See Batch: shuffled sequences, in parts of about equally many samples."""
        keys, sizes = [0] * len(self.decisions), [1] * len(self.decisions)
        for number, sequence in enumerate(self.sequences):
            for sample in sequence:
                keys[sample], sizes[sample] = number, len(sequence)
        return of_decisions(keys, sizes, parts, generator)

    def evaluated(self, agent: LearningAgent, chosen: Tensor) -> Iterator[tuple[list[int], Evaluation]]:
        """See Batch; the chosen samples are whole sequences."""
        place = {sample: index for index, sample in enumerate(chosen.tolist())}
        wanted = [sequence for sequence in self.sequences if sequence[0] in place]
        flat = [place[sample] for sequence in wanted for sample in sequence]
        for members, found in agent.evaluate_sequences([[self.decisions[sample] for sample in each] for each in wanted]):
            yield [flat[member] for member in members], found


def in_sequences(batch: Batch, steps: Sequence[Step], length: int) -> RecurrentBatch:
    """Divide a rollout into sequences of at most length samples. steps: of the rollout."""
    own = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return RecurrentBatch(**own, sequences=sequences_of([step.terminated | step.truncated for step in steps], length))


def sequences_of(ends: Sequence[Sequence[bool]], length: int) -> list[list[int]]:
    """Return the samples of each sequence: it ends with an episode, or after length samples. ends: (steps, envs).

    A sample is step * envs + env.
    """
    envs, found = len(ends[0]), []
    for env in range(envs):
        sequence: list[int] = []
        for step, ended in enumerate(ends):
            sequence.append(step * envs + env)
            if ended[env] or len(sequence) == length or step == len(ends) - 1:
                found.append(sequence)
                sequence = []
    return found
