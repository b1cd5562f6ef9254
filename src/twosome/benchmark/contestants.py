"""What is timed: the engine, and three ways to do without it. All do the same work with the same model."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from twosome import parts
from twosome.algorithms.ppo.losses import policy_terms
from twosome.benchmark.cached import CachedEngine
from twosome.benchmark.cost import Cost, Weights, now, timed
from twosome.benchmark.workloads import Workload, samples, set_adapter
from twosome.decision import Decision, DecisionText
from twosome.errors import UserError
from twosome.language import oracle
from twosome.language.packed_linear import plain_products
from twosome.language.scorer import Scorer
from twosome.policies.context import MakeEnv
from twosome.policies.language import LanguageAgent

AT_ONCE = 4
"""Decisions per batch of `Contestants.repeat`, as many as the environments of TWOSOME's reference code."""


@dataclass
class Contestants:
    """The engine and its opponents, with one model.

    repeat: a row per prompt and action for every sample, with all logits, as TWOSOME's reference code; timed on repeat_tokens
    tokens of each work and scaled to all of it.
    cached: transformers' key-value cache, used well (cached.py). Duplicates are removed within a step or a minibatch.
    remembered: cached, in an agent that remembers a rollout's policies and what the last rollout met, as it does with the
    engine. For updates the two are the same.
    The opponents multiply as PyTorch does by itself, without packed weights.
    float32: the engine with the same model in float32, where it computes in another dtype.
    agent, other: with the engine, and with the cached opponent in its place. exact: of float32, or None. fresh: the memories of a
    new agent.
    """

    agent: LanguageAgent
    other: LanguageAgent
    exact: LanguageAgent | None
    fresh: dict[str, Any]
    repeat_tokens: int

    @classmethod
    def of(cls, config: DictConfig, make_env: MakeEnv) -> "Contestants":
        """Load the model of a configuration; raise UserError if its agent does not train a decoder-only language model."""
        agent = parts.agent(config, make_env)
        if not (isinstance(agent, LanguageAgent) and isinstance(agent.engine, Scorer)):
            chosen = HydraConfig.get().runtime.choices["baseline"]
            raise UserError(
                f"baseline={chosen}: expected an agent that trains a decoder-only language model; leave the option out"
            )
        lm = agent.engine.lm
        other = parts.agent(config, make_env, lambda model, tuning, norm, make: CachedEngine(lm, norm, 1))
        exact = None
        if lm.dtype != "float32":
            same = deepcopy(config)
            same.model.dtype = "float32"
            exact = parts.agent(same, make_env)
        assert isinstance(other, LanguageAgent)
        assert isinstance(exact, LanguageAgent | None)
        return cls(agent, other, exact, agent.get_extra_state(), config.repeat_tokens)

    @property
    def scorer(self) -> Scorer:
        """The engine."""
        assert isinstance(self.agent.engine, Scorer)  # checked by of
        return self.agent.engine

    @property
    def cached(self) -> CachedEngine:
        """The opponent that uses transformers' cache."""
        assert isinstance(self.other.engine, CachedEngine)  # made by of
        return self.other.engine

    def round(self, workload: Workload) -> Iterator[tuple[str, Cost]]:
        """Do the work once by each contestant; yield its name and cost."""
        learns = workload.batch is not None
        learning = learns * Weights.of(self.scorer).learning
        for name, agent in (("engine", self.agent), ("float32", self.exact)):
            if agent is not None:
                assert isinstance(agent.engine, Scorer)  # checked by of
                set_adapter(agent, workload.adapter, workload.seed)
                agent.set_extra_state(workload.memories)
                agent.engine.know(workload.met)
                yield name, timed(agent.engine, partial(workload.do, agent), float(learns))
        with plain_products(self.agent.lm):
            for name in ("cached",) if learns else ("cached", "remembered"):
                self.other.set_extra_state(workload.memories)
                yield name, timed(self.cached, lambda: workload.do(self.other, remember=name == "remembered"), learning)  # noqa: B023
            yield "repeat", self.repeat(workload, learning)

    def repeat(self, workload: Workload, learning: float) -> Cost:
        """Return the cost of the work by one row per prompt and action, from a part of it. learning: share of the layers."""
        few, factor = self.part(workload.decisions)
        learns = workload.batch is not None
        batch = samples(self.agent, few, workload.seed) if learns else None

        def work() -> None:
            for first in range(0, len(few), AT_ONCE):
                part = slice(first, first + AT_ONCE)
                self.agent.critic(oracle.features(self.scorer, [decision.prompt for decision in few[part]]))
                log_policy = oracle.score(self.scorer, [decision.text for decision in few[part]]).log_policy()
                if batch is not None:
                    terms = policy_terms(
                        log_policy, batch.choices[part], batch.logprobs[part], batch.advantages[part], workload.ppo.clip_coef
                    )
                    (terms.loss - workload.ppo.ent_coef * terms.entropy).mean().backward()

        with torch.set_grad_enabled(learns):
            cost = timed(self.scorer, work, learning)
        self.agent.zero_grad()
        return cost.times(factor)

    def part(self, decisions: Sequence[Decision]) -> tuple[list[Decision], float]:
        """Return some of the decisions, evenly spaced, and how often their rows' tokens are in those of all.

        Of the last one only the first actions are taken, so that there are about repeat_tokens tokens.
        """
        lengths = [self._row_lengths(decision) for decision in decisions]
        every, few, taken = sum(map(sum, lengths)), [], 0
        count = max(1, min(len(decisions), round(self.repeat_tokens * len(decisions) / every)))
        for index in range(0, len(decisions), len(decisions) // count):
            left = self.repeat_tokens - taken
            if left <= 0:
                break
            actions = next((n for n in range(1, len(lengths[index])) if sum(lengths[index][:n]) >= left), len(lengths[index]))
            decision = decisions[index]
            few.append(
                decision._replace(action_ids=decision.action_ids[:actions], action_prompts=decision.action_prompts[:actions])
            )
            taken += sum(lengths[index][:actions])
        return few, every / taken

    def _row_lengths(self, decision: Decision) -> list[int]:
        """Return the tokens of the row of each action."""
        (tokens,) = self.scorer.tokenize([decision.text])
        return [len(tokens.prompt) + len(action) for action in tokens.actions]

    def choose_size(self, texts: Sequence[DecisionText], learns: bool, sizes: Sequence[int]) -> dict[str, Any]:
        """Set the cached opponent's batch to the fastest of these numbers of decisions.

        They are timed on as many of texts as the largest. Return the size, the seconds by size, and the largest difference in
        nats between this opponent's log-probabilities and the engine's.
        """
        few = list(texts[: max(sizes)])
        seconds = {}
        with plain_products(self.agent.lm), torch.set_grad_enabled(learns):
            self.cached.score(few[:1])  # not timed: the first products take longer
            for self.cached.size in sorted({min(size, len(few)) for size in sizes}):
                start = now()
                for _, scores in self.cached.batches(few):
                    if learns:
                        scores.log_policy().sum().backward()
                seconds[self.cached.size] = now() - start
        self.agent.zero_grad()
        self.cached.size = min(seconds, key=lambda size: seconds[size])
        with torch.no_grad():
            difference = float((self.cached.score(few).logprobs - self.scorer.score(few).logprobs).abs().max())
        return {"decisions_per_batch": self.cached.size, "seconds_by_batch": seconds, "largest_difference": difference}
