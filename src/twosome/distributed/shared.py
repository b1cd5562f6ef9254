"""The work of one process, shared out: its environments and its language model.

Every process knows all decisions and gets all results; only the computing is shared. So what uses these classes is the program
of a single process, unchanged, and does the same in every one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import gymnasium
import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import pad

from twosome.decision import Decision, Text
from twosome.distributed.team import Team
from twosome.envs.vector import DecisionEnvs, Step
from twosome.language.config import ModelConfig
from twosome.language.loading import LanguageModel, load_language_model
from twosome.language.norms import Normalization
from twosome.language.scorer import Scorer, Scores, decisions_of, widened
from twosome.language.tokens import TokenizedDecision
from twosome.language.tree import Row, batches, pack


class SharedEnvs(DecisionEnvs):
    """The run's environments, of which each process steps its own; what they return is known to all."""

    def __init__(self, make_env: Callable[[], gymnasium.Env], num_envs: int, gamma: float, team: Team) -> None:
        super().__init__(make_env, num_envs, gamma, team.share(num_envs))
        self.team = team

    def reset(self, seed: int) -> list[Decision]:
        """See DecisionEnvs."""
        return self._joined(super().reset(seed))

    def step(self, action_ids: Sequence[int]) -> Step:
        """See DecisionEnvs; action_ids are of all environments."""
        step = super().step([action_ids[env] for env in self.own])
        final = {self.own[env]: decision for env, decision in step.final.items()}
        return joined_step(self.team.gather(step._replace(final=final)))

    def state(self) -> list[dict[str, Any]]:
        """See DecisionEnvs."""
        return self._joined(super().state())

    def restore(self, state: Sequence[dict[str, Any]]) -> list[Decision]:
        """See DecisionEnvs; state is of all environments."""
        return self._joined(super().restore([state[env] for env in self.own]))

    def _joined(self, own: list[Any]) -> list[Any]:
        return list(chain.from_iterable(self.team.gather(own)))


ARRAYS = ("rewards", "durations", "primitive_steps", "terminated", "truncated", "success")


def joined_step(parts: Sequence[Step]) -> Step:
    """What happened in all environments, from what happened in each process's."""
    decisions = list(chain.from_iterable(part.decisions for part in parts))
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    final = {env: decision for part in parts for env, decision in part.final.items()}
    episodes = list(chain.from_iterable(part.episodes for part in parts))
    return parts[0]._replace(decisions=decisions, final=final, episodes=episodes, **arrays)


IDLE_TEXT: Text = ("nothing", ("nothing",))
IDLE = TokenizedDecision((0,), ((0,),))
"""A decision of one token, for a process that has nothing to score while the others have."""


class SharedScorer(Scorer):
    """The engine over a sharded model. A batch of the distinct decisions is scored by one process, its scores are known to all.

    A sharded model computes only when all processes call it together, so batches are taken in turns, one per process; whoever
    has none left in the last turn scores IDLE. In an update each turn's loss is that of all its batches, on every process, and
    flows back into the process's own batch; the sum of what arrives is the gradient.
    """

    def __init__(self, lm: LanguageModel, norm: Normalization, *, team: Team, **engine: Any) -> None:
        """lm: loaded on the CPU, with weights as they are (not packed); it is sharded here. engine: as in EngineConfig."""
        super().__init__(lm, norm, **engine)
        self.team = team
        self.learned = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        shard(lm.model, team)  # type: ignore[arg-type]  # Scorer has checked that there is an adapter

    @torch.no_grad()
    def score(self, texts: Sequence[Text]) -> Scores:
        """See Scorer; without gradients, which batches alone can sum over the processes."""
        return super().score(texts)

    def batches(self, texts: Sequence[Text]) -> Iterator[tuple[list[int], Scores]]:
        """See Scorer. After the last batch the adapter's gradients are summed over the processes: they have to be empty before
        the first, as zero_grad leaves them."""
        learning = torch.is_grad_enabled()
        if learning and any(parameter.grad is not None for parameter in self.learned):
            raise RuntimeError("the adapter has gradients already; call zero_grad first")
        tokenized = self.tokenize(texts)
        for turn in self._turns(tokenized):
            own = self._own(turn)
            scores = self._scores(own, texts, tokenized) if own else self._scores([_idle()], [IDLE_TEXT], [IDLE])
            offered = [tokenized[index].actions for rows in turn for index in decisions_of(rows)]
            sizes = (max(map(len, offered)), max(len(action) for actions in offered for action in actions))
            yield _in_turn(turn), self._joined(widened(scores, *sizes), turn)
        if learning:
            self.team.add_up([parameter.grad for parameter in self.learned if parameter.grad is not None])

    @torch.no_grad()
    def features(self, prompts: Sequence[str]) -> Tensor:
        """See Scorer."""
        out = torch.empty(len(prompts), self.hidden_size, device=self.device)
        with self.model.disable_adapter():
            for turn in self._turns(self._ends(prompts)):
                rows = self._own(turn) or [_idle()]
                out[_in_turn(turn)] = self._exchanged(self._prompt_states(rows, self.hidden(rows)), turn)
        return out

    def _turns(self, tokenized: Sequence[TokenizedDecision]) -> Iterator[list[list[Row]]]:
        """All batches, as many at a time as there are processes; smaller ones than Scorer's where these would be too few."""
        rows = pack(tokenized, self.row_tokens)
        share = -(-sum(map(len, rows)) // self.team.size)
        planned = batches(rows, min(self.batch_tokens, share))
        before = self.tokens_computed
        for first in range(0, len(planned), self.team.size):
            yield planned[first : first + self.team.size]
        self.tokens_computed = before + sum(map(self.input_tokens, planned))  # by all processes

    def _own(self, turn: list[list[Row]]) -> list[Row]:
        """This process's batch of a turn; empty where there is none left."""
        return turn[self.team.rank] if self.team.rank < len(turn) else []

    def _joined(self, own: Scores, turn: list[list[Row]]) -> Scores:
        """The scores of all batches of a turn; own: with slots as wide as the widest of them has."""
        columns = [part.flatten(1) for part in own]
        every = self._exchanged(torch.cat(columns, dim=1), turn).split([column.shape[1] for column in columns], dim=1)
        return Scores(*(part.unflatten(1, own_part.shape[1:]) for part, own_part in zip(every, own, strict=True)))

    def _exchanged(self, own: Tensor, turn: list[list[Row]]) -> Tensor:
        """From a row per decision of the own batch (or of IDLE) to those of all batches of the turn."""
        sizes = [len(decisions_of(rows)) for rows in turn]
        parts = self.team.exchange(pad(own, (0, 0, 0, max(sizes) - len(own))))
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=False)])


def load_shared_scorer(model: ModelConfig, norm: Normalization, *, team: Team, **engine: Any) -> SharedScorer:
    """See load_scorer; the weights go to the team's devices, in shards: model.device and model.packed_weights have no effect."""
    unpacked = replace(model, device="cpu", packed_weights=False)
    return SharedScorer(load_language_model(unpacked), norm, team=team, **engine)


def _in_turn(turn: list[list[Row]]) -> list[int]:
    """The decisions of a turn, batch by batch."""
    return list(chain.from_iterable(map(decisions_of, turn)))


def _idle() -> Row:
    """A tree of IDLE alone."""
    (row,) = pack([IDLE], row_tokens=1)
    return row


def shard(model: PeftModel, team: Team) -> None:
    """Spread the frozen weights over the processes (FSDP2), and put all on the team's device, in place.

    The adapter stays whole on each, being small, and so does an embedding that is the output layer too, for the two are used
    apart from each other. Layers are gathered one at a time when they compute, and let go of at once.
    """
    mesh = init_device_mesh(team.device.type, (team.size,))
    base: Any = model.get_base_model()
    backbone, head = base.base_model, base.get_output_embeddings()
    whole = {parameter for parameter in model.parameters() if parameter.requires_grad}
    if head.weight is backbone.get_input_embeddings().weight:
        whole.add(head.weight)
    else:
        fully_shard(head, mesh=mesh, reshard_after_forward=True)
    depth = base.config.get_text_config().num_hidden_layers
    (layers,) = (each for each in backbone.children() if isinstance(each, nn.ModuleList) and len(each) == depth)
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
    fully_shard(backbone, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
    model.to(team.device)
