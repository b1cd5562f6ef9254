"""The engine against the plain way, on the same decisions of the same random policy in one run.

The plain way is the reference's: one row per prompt and action for every sample, full logits, and the critic's features
computed anew wherever values are needed. Model FLOPs count the matrix products of the layers (2 per weight and token
forward, as much again backward, since only the adapter's weights have gradients) and of the vocabulary projection;
attention's own products are left out, so utilisation is understated.
"""

import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from twosome import experiment
from twosome.config import typed
from twosome.decision import Decision
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError
from twosome.language import oracle
from twosome.policies.language import LanguageAgent
from twosome.ppo.config import PPOConfig
from twosome.ppo.losses import policy_terms
from twosome.ppo.rollout import Batch
from twosome.ppo.update import update_critic, update_policy
from twosome.training.cost import Cost, matmul_peak, peak_memory, show, timed
from twosome.training.runfolder import write_atomic


def benchmark(config: DictConfig) -> None:
    """Time (a) a rollout of 4 x 32 decisions, (b) the update on it with preset=paper, (c) a rollout and update of
    preset=wide's size; print a table and write config.output."""
    if config.oracle_decisions < 4 or config.oracle_decisions % 4:
        raise UserError(f"oracle_decisions={config.oracle_decisions}: expected a positive multiple of 4")
    makers = {task: experiment.environment(OmegaConf.merge(config, {"env": {"task": task}}).env) for task in config.tasks}
    presets = {name: typed(PPOConfig, compose("config", [f"preset={name}"]).ppo, "ppo") for name in ("paper", "wide")}
    peak = matmul_peak()
    rows: list[dict[str, Any]] = []
    model = ""
    for task, make_env in makers.items():
        agent = experiment.agent(config, make_env)
        if not isinstance(agent, LanguageAgent):
            raise UserError("baseline: expected an agent with a language model; leave the option out")
        model = agent.scorer.lm.name
        rows += Case(task, agent, make_env, config.seed, config.oracle_decisions, peak).measure(presets)
    machine = {"threads": torch.get_num_threads(), "matmul_peak_gflops": peak / 1e9, "model": model}
    write_atomic(Path(config.output), json.dumps({"machine": machine, "results": rows}, indent=2) + "\n")
    show(machine, rows)
    print(f"written to {config.output}")


@dataclass
class Case:
    """One task's measurements."""

    task: str
    agent: LanguageAgent
    make_env: Callable[[], Any]
    seed: int
    oracle_decisions: int
    peak: float

    def measure(self, presets: dict[str, PPOConfig]) -> list[dict[str, Any]]:
        """All rows of this task. The engine goes first, so that the process's peak memory at that point is the engine's."""
        self.agent.scorer.score([("warm up the", ("model", "caches"))])
        paper, wide = presets["paper"], presets["wide"]
        samples = self.random_rollout(paper)
        wide_samples = self.random_rollout(wide)
        fresh = self.agent.get_extra_state()
        engine = {"a rollout 4x32": self.timed(partial(self.act, samples, paper), backward=False)}
        self.untrain()
        batch = self.batch(samples, paper)
        engine["b update, preset=paper"] = self.timed(partial(self.learn, batch, paper), backward=True)
        self.agent.set_extra_state(fresh)
        engine[f"c rollout {wide.num_envs}x{wide.num_steps}"] = self.timed(
            partial(self.act, wide_samples, wide), backward=False)  # fmt: skip
        wide_batch = self.batch(wide_samples, wide)
        engine["c update, preset=wide"] = self.timed(partial(self.learn, wide_batch, wide), backward=True)
        memory = {"engine": peak_memory()}

        few = [decision for step in samples for decision in step][: self.oracle_decisions]
        act = self.timed(partial(self.plain_act, few), backward=False).times(1 / len(few))
        learn = self.timed(partial(self.plain_learn, few, batch, paper), backward=True).times(1 / len(few))
        features = self.timed(partial(oracle.features, self.agent.scorer, [d.prompt for d in few]), backward=False)
        critic = features.times(1 / len(few))
        plain = [
            act.times(paper.batch_size),
            learn.plus(critic).times(paper.batch_size),
            act.times(wide.batch_size),
            learn.times(wide.update_epochs).plus(critic.times(wide.value_update_epochs)).times(wide.batch_size),
        ]
        memory["oracle"] = peak_memory()
        sizes = [paper.batch_size, paper.batch_size, wide.batch_size, wide.batch_size]
        return [self.row(name, size, engine[name], cost, memory) for name, size, cost in zip(engine, sizes, plain, strict=True)]

    def random_rollout(self, ppo: PPOConfig) -> list[list[Decision]]:
        """The decisions that a uniformly random policy meets, by step."""
        envs, choose, steps = DecisionEnvs(self.make_env, ppo.num_envs), random.Random(self.seed), []
        decisions = envs.reset(self.seed)
        for _ in range(ppo.num_steps):
            steps.append(decisions)
            decisions = envs.step([choose.choice(decision.action_ids) for decision in decisions]).decisions
        envs.close()
        return steps

    def act(self, steps: list[list[Decision]], ppo: PPOConfig) -> None:
        """The engine's part of a rollout: policies step by step, values at its end."""
        self.agent.eval()
        self.agent.begin_rollout()
        for decisions in steps:
            self.agent.log_policy(decisions)
        self.agent.values([decision for decisions in steps for decision in decisions])

    def batch(self, steps: list[list[Decision]], ppo: PPOConfig) -> Batch:
        """Samples to learn from: the policy's own log-probabilities of random choices, random advantages."""
        decisions = [decision for step in steps for decision in step]
        generator = torch.Generator().manual_seed(self.seed)
        log_policy = self.agent.log_policy(decisions)
        sizes = torch.tensor([len(decision.action_ids) for decision in decisions])
        choices = (torch.rand(len(decisions), generator=generator) * sizes).long()
        values = self.agent.values(decisions)
        noise = torch.randn(2, len(decisions), generator=generator)
        return Batch(decisions, choices, log_policy.gather(1, choices[:, None])[:, 0], values, noise[0], values + noise[1])

    def learn(self, batch: Batch, ppo: PPOConfig) -> None:
        """The engine's update, with a learning rate of 0 and no KL limit, so that every step of the preset is taken."""
        free = PPOConfig(**{**asdict(ppo), "target_kl": None})
        policy = torch.optim.AdamW(self.agent.actor_parameters(), lr=0.0)
        critic = torch.optim.Adam(self.agent.critic.parameters(), lr=0.0)
        generator = torch.Generator().manual_seed(self.seed)
        update_policy(self.agent, batch, free, policy, generator)
        update_critic(self.agent, batch, free, critic, generator)

    @torch.no_grad()
    def plain_act(self, decisions: list[Decision]) -> None:
        """The plain rollout: four environments a step, each prompt scored with each action, and a pass for the critic."""
        for first in range(0, len(decisions), 4):
            step = decisions[first : first + 4]
            oracle.score(self.agent.scorer, [decision.text for decision in step]).log_policy()
            self.agent.critic(oracle.features(self.agent.scorer, [decision.prompt for decision in step]))

    def plain_learn(self, decisions: list[Decision], batch: Batch, ppo: PPOConfig) -> None:
        """The plain policy update: minibatches of 4 samples, one forward and backward pass each."""
        for first in range(0, len(decisions), 4):
            part = slice(first, first + 4)
            log_policy = oracle.score(self.agent.scorer, [decision.text for decision in decisions[part]]).log_policy()
            terms = policy_terms(
                log_policy, batch.choices[part], batch.logprobs[part], batch.advantages[part], ppo.clip_coef
            )
            (terms.loss - ppo.ent_coef * terms.entropy).mean().backward()
        self.agent.zero_grad()

    def untrain(self) -> None:
        """Move the adapter off zero, as it is after the first update of a run."""
        generator = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            for parameter in self.agent.actor_parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter) * 1e-3)

    def timed(self, work: Callable[[], Any], backward: bool) -> Cost:
        """The cost of doing the work once."""
        return timed(self.agent.scorer, work, backward)

    def row(self, work: str, decisions: int, engine: Cost, plain: Cost, memory: dict[str, float]) -> dict[str, Any]:
        """One line of the result."""
        return {
            "task": self.task,
            "work": work,
            "decisions": decisions,
            "ratio": plain.seconds / engine.seconds,
            "engine": self.described(engine, decisions) | {"peak_memory_gb": memory["engine"]},
            "oracle": self.described(plain, decisions) | {"peak_memory_gb": memory["oracle"], "timed_on": self.oracle_decisions},
        }

    def described(self, cost: Cost, decisions: int) -> dict[str, float]:
        """A cost in the units that are reported."""
        utilisation = cost.flops / cost.seconds / self.peak
        return {**asdict(cost), "decisions_per_second": decisions / cost.seconds, "utilisation": utilisation}
