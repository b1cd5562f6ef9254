"""baseline=ppo: an agent for PPO from scratch, which reads the symbolic observation instead of prompts."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from twosome import generators
from twosome.agents.agent import AgentContext, Evaluation, LearningAgent, NetworkAgent
from twosome.agents.heads import check_hidden_sizes
from twosome.decision import Decision
from twosome.envs.check import spaces
from twosome.errors import check
from twosome.language.engine import MASKED
from twosome.language.loading import resolve_device

NETWORK = "film_lstm"
"""The only value of baseline.network besides null."""


class SymbolicAgent(NetworkAgent):
    """CleanRL's networks for discrete actions: an actor and a critic that share no weights.

    The actor has a logit for every action of the environment. The policy is the softmax over a decision's admissible actions.
    Observations are not scaled.
    """

    def __init__(self, observations: int, actions: int, hidden_sizes: Sequence[int], generator: torch.Generator) -> None:
        """observations: the size of an observation. actions: the number of the environment's actions. hidden_sizes: of each
        network (CleanRL: 64, 64)."""
        super().__init__()
        check_hidden_sizes("baseline.hidden_sizes", hidden_sizes, "[64,64]")
        self.actor = tanh_mlp([observations, *hidden_sizes, actions], 0.01, generator)
        self.critic = tanh_mlp([observations, *hidden_sizes, 1], 1.0, generator)

    @torch.no_grad()
    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """See Agent."""
        return self._log_policy(decisions)

    def evaluate(self, decisions: Sequence[Decision], choices: Tensor | None = None) -> Iterator[tuple[list[int], Evaluation]]:
        """See LearningAgent; all decisions are one part."""
        yield list(range(len(decisions))), Evaluation(self._log_policy(decisions))

    def value_function(self, decisions: Sequence[Decision]) -> Callable[[Tensor], Tensor]:
        """See LearningAgent."""
        observations = self._observations(decisions)
        return lambda index: self.critic(observations).squeeze(-1)[index]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the weights of the actor ("policy") and of the critic ("value")."""
        return {"policy": list(self.actor.parameters()), "value": list(self.critic.parameters())}

    def _observations(self, decisions: Sequence[Decision]) -> Tensor:
        """Return flattened observations, (n, numbers), on the networks' device."""
        stacked = np.stack([decision.obs for decision in decisions]).reshape(len(decisions), -1)
        return torch.from_numpy(stacked).to(next(self.actor.parameters()))

    def _log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        return own_log_policy(self.actor(self._observations(decisions)), decisions)


def own_log_policy(logits: Tensor, decisions: Sequence[Decision]) -> Tensor:
    """Return log-probabilities of each decision's own actions, in their order, (n, A). logits: of all actions, (n, actions)."""
    kinds = {ids: kind for kind, ids in enumerate(dict.fromkeys(decision.action_ids for decision in decisions))}
    table = nn.utils.rnn.pad_sequence(list(map(torch.tensor, kinds)), batch_first=True, padding_value=-1)
    ids = table[[kinds[decision.action_ids] for decision in decisions]].to(logits.device)
    own = logits.gather(1, ids.clamp(min=0)).masked_fill(ids < 0, MASKED)
    return torch.log_softmax(own, dim=1)


def tanh_mlp(sizes: Sequence[int], output_gain: float, generator: torch.Generator) -> nn.Sequential:
    """Return a float32 MLP with layers of these sizes and tanh between them.

    Weights are orthogonal with gain sqrt(2), or output_gain in the last layer, drawn from generator. Biases are 0 (CleanRL).
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        nn.init.orthogonal_(linear.weight, math.sqrt(2), generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.Tanh()]
    nn.init.orthogonal_(linear.weight, output_gain, generator)
    return nn.Sequential(*layers[:-1])


def build(context: AgentContext, hidden_sizes: Sequence[int], network: str | None = None, recurrence: int = 20) -> LearningAgent:
    """Build the agent of conf/baseline/ppo.yaml. hidden_sizes: of the actor and of the critic. Raises UserError.

    network: film_lstm (`twosome.agents.film_lstm`), or None for SymbolicAgent. recurrence: of film_lstm.
    """
    if network is not None:
        check(network == NETWORK, "baseline.network", network, f"{NETWORK}, or null for an MLP")
        from twosome.agents import film_lstm

        return film_lstm.build(context, recurrence)
    env = context.make_env()
    observations, actions = spaces(env)
    env.close()
    generator = generators.of_stream(context.seed, "networks")
    agent = SymbolicAgent(math.prod(observations.shape), int(actions.n), hidden_sizes, generator)
    return agent.to(resolve_device(context.model.device))
