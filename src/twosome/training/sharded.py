"""Environments and a language model whose work is split over the ranks of a process group.

Every rank passes the same arguments and gets the same results, for all environments and all decisions. Only the computation is
split. So the code that uses these classes is the same as for one process.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import pad

from twosome.decision import Decision, DecisionText
from twosome.envs.vector import DecisionEnvs, Step
from twosome.errors import UserError
from twosome.language.engine import Scores, prompt_states, widened
from twosome.language.gate import engine_of
from twosome.language.loading import LanguageModel, ModelConfig, decoder_layers, frozen_depth, load_language_model
from twosome.language.norms import Normalization
from twosome.language.scorer import Scorer
from twosome.language.tokens import TokenizedDecision
from twosome.language.tree import PackedRow, batches, decisions_of, pack
from twosome.language.tuning import Tuning
from twosome.training.distributed import Processes


class ShardedEnvs(DecisionEnvs):
    """Step this rank's part of the environments, and all_gather what they return."""

    def __init__(self, make_env: Callable[[], gymnasium.Env], num_envs: int, gamma: float, processes: Processes) -> None:
        super().__init__(make_env, num_envs, gamma, processes.own_indices(num_envs))
        self.processes = processes

    def reset(self, seed: int, alike: int = 1) -> list[Decision]:
        """See DecisionEnvs."""
        return self._joined(super().reset(seed, alike))

    def step(self, action_ids: Sequence[int], memories: Sequence[Any] | None = None) -> Step:
        """See DecisionEnvs; action_ids and memories are of all environments."""
        own = None if memories is None else [memories[env] for env in self.own]
        step = super().step([action_ids[env] for env in self.own], own)
        final = {self.own[env]: decision for env, decision in step.final.items()}
        return joined_step(self.processes.all_gather_object(step._replace(final=final)))

    def demonstrations(self, wanted: Sequence[int]) -> dict[int, list[int]]:
        """See DecisionEnvs."""
        every = self.processes.all_gather_object(super().demonstrations(wanted))
        return {env: plan for part in every for env, plan in part.items()}

    def _ended_anywhere(self, ended: Sequence[int]) -> list[int]:
        return self._joined(list(ended))

    def state(self) -> list[dict[str, Any]]:
        """See DecisionEnvs."""
        return self._joined(super().state())

    def restore(self, state: Sequence[dict[str, Any]]) -> list[Decision]:
        """See DecisionEnvs; state is of all environments."""
        return self._joined(super().restore([state[env] for env in self.own]))

    def _joined(self, own: list[Any]) -> list[Any]:
        return list(chain.from_iterable(self.processes.all_gather_object(own)))


ARRAYS = ("rewards", "durations", "primitive_steps", "terminated", "truncated", "success")


def joined_step(parts: Sequence[Step]) -> Step:
    """Concatenate the ranks' steps, in the order of the ranks."""
    decisions = list(chain.from_iterable(part.decisions for part in parts))
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    final = {env: decision for part in parts for env, decision in part.final.items()}
    episodes = list(chain.from_iterable(part.episodes for part in parts))
    return parts[0]._replace(decisions=decisions, final=final, episodes=episodes, **arrays)


IDLE_TEXT: DecisionText = ("nothing", ("nothing",))
IDLE = TokenizedDecision((0,), ((0,),))
"""A decision of one token, for a rank that has no batch left while others have."""


class ShardedScorer(Scorer):
    """Score decisions with a model whose frozen weights are sharded over the ranks (FSDP2).

    Each batch of distinct decisions is scored by one rank, and its scores are all-gathered. A sharded model computes only when
    all ranks call it together. So batches are scored in turns of one batch per rank. A rank without a batch in the last turn
    scores IDLE. In an update every rank computes the loss of all batches of a turn. The gradient flows into its own batch only.
    The gradient of the whole loss is the sum over the ranks (all_reduce).
    """

    def __init__(self, lm: LanguageModel, norm: Normalization, *, processes: Processes, **engine: Any) -> None:
        """Shard the model. lm: loaded on the CPU, with weights that are not packed. engine: options of Scorer; no cache."""
        super().__init__(lm, norm, **{**engine, "cache_mb": 0})
        self.processes = processes
        self.learned = lm.learned()
        shard(lm, processes)

    @torch.no_grad()
    def score(self, texts: Sequence[DecisionText]) -> Scores:
        """See Scorer. The scores have no gradient: only `batches` sums gradients over the ranks."""
        return super().score(texts)

    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """See Scorer. After the last batch the gradients of what learns are summed over the ranks (all_reduce).

        They must be None before the first batch, as zero_grad leaves them.
        """
        with self._summing():
            yield from self._batches(self.tokenize(texts), texts)

    def states(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """See Scorer; gradients as of `batches`."""
        with self._summing():
            for turn in self._turns(self._ends(prompts)):
                rows = self._own(turn) or [_idle()]
                yield _in_turn(turn), self._all_gathered(prompt_states(rows, self.hidden(rows)), turn)

    @contextmanager
    def _summing(self) -> Iterator[None]:
        """At the end of the context, sum the gradients of what learns over the ranks, if there are any."""
        learning = torch.is_grad_enabled()
        if learning and any(parameter.grad is not None for parameter in self.learned):
            raise RuntimeError("the model has gradients already; call zero_grad first")  # they would be summed once more
        yield
        if learning and self.learned:
            self.processes.all_reduce([parameter.grad for parameter in self.learned if parameter.grad is not None])

    def _batches(
        self, tokenized: Sequence[TokenizedDecision], texts: Sequence[DecisionText]
    ) -> Iterator[tuple[list[int], Scores]]:
        for turn in self._turns(tokenized):
            own = self._own(turn)
            scores = self._scores(own, texts, tokenized) if own else self._scores([_idle()], [IDLE_TEXT], [IDLE])
            offered = [tokenized[index].actions for rows in turn for index in decisions_of(rows)]
            sizes = (max(map(len, offered)), max(len(action) for actions in offered for action in actions))
            yield _in_turn(turn), self._joined(widened(scores, *sizes), turn)

    def _turns(self, tokenized: Sequence[TokenizedDecision]) -> Iterator[list[list[PackedRow]]]:
        """Yield the batches, world_size at a time; smaller ones than Scorer's where there would be fewer than world_size."""
        if self._by_length(tokenized)[1]:
            raise UserError(
                f"trainer=fsdp: expected decisions of at most {self.longest} tokens (a window of the model); use another trainer"
            )
        rows = pack(tokenized, self.row_tokens)
        share = -(-sum(map(len, rows)) // self.processes.world_size)
        planned = batches(rows, min(self.batch_tokens, share))
        before = self.tokens_computed
        for first in range(0, len(planned), self.processes.world_size):
            yield planned[first : first + self.processes.world_size]
        self.tokens_computed = before + sum(map(self.input_tokens, planned))  # by all ranks

    def _own(self, turn: list[list[PackedRow]]) -> list[PackedRow]:
        """Return this rank's batch of a turn; empty where none is left."""
        return turn[self.processes.rank] if self.processes.rank < len(turn) else []

    def _joined(self, own: Scores, turn: list[list[PackedRow]]) -> Scores:
        """All-gather the scores of a turn. own: this rank's, padded to the widest batch of the turn."""
        columns = [part.flatten(1) for part in own]
        every = self._all_gathered(torch.cat(columns, dim=1), turn).split([column.shape[1] for column in columns], dim=1)
        return Scores(*(part.unflatten(1, own_part.shape[1:]) for part, own_part in zip(every, own, strict=True)))

    def _all_gathered(self, own: Tensor, turn: list[list[PackedRow]]) -> Tensor:
        """All-gather the rows of a turn. own: (decisions of this rank's batch, n); returns (decisions of all batches, n)."""
        sizes = [len(decisions_of(rows)) for rows in turn]
        parts = self.processes.all_gather(pad(own, (0, 0, 0, max(sizes) - len(own))))
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=False)])


def load_sharded_engine(model: ModelConfig, tuning: Tuning, norm: Normalization, *, processes: Processes) -> ShardedScorer:
    """See load_engine. The weights are sharded over the ranks' devices: model.device and model.packed_weights have no effect.

    Raises UserError for an engine that cannot be sharded.
    """
    lm = load_language_model(replace(model, device="cpu", packed_weights=False), tuning)
    if not (model.engine == "auto" and isinstance(engine_of(lm, norm), Scorer)):
        raise UserError("trainer=fsdp: expected model.engine=auto and a model that is right by token trees; use another trainer")
    if model.cache_mb and frozen_depth(lm) and processes.rank == 0:
        print(f"note: trainer=fsdp: all layers are computed; model.cache_mb={model.cache_mb} is not used", file=sys.stderr)
    return ShardedScorer(lm, norm, processes=processes, batch_tokens=model.batch_tokens, scores=model.scores)


def _in_turn(turn: list[list[PackedRow]]) -> list[int]:
    """Return the indices of the decisions of a turn, batch by batch."""
    return list(chain.from_iterable(map(decisions_of, turn)))


def _idle() -> PackedRow:
    """Return a tree with IDLE alone."""
    (row,) = pack([IDLE], row_tokens=1)
    return row


def shard(lm: LanguageModel, processes: Processes) -> None:
    """Shard the frozen weights over the ranks (FSDP2) and move the model to the rank's device, in place.

    What learns is replicated, since it is small. An embedding that is also the output layer is replicated too, since the two are
    used at different times. A layer's weights are all-gathered when it computes and freed afterwards.
    """
    mesh = init_device_mesh(processes.device.type, (processes.world_size,))
    model, base = lm.model, lm.base
    backbone, head = lm.backbone, base.get_output_embeddings()
    whole = set(lm.learned())
    if head.weight is backbone.get_input_embeddings().weight:
        whole.add(head.weight)
    else:
        fully_shard(head, mesh=mesh, reshard_after_forward=True)
    _, layers = decoder_layers(backbone)
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
    fully_shard(backbone, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
    model.to(processes.device)
