"""Compare the engine with plain scoring (language/oracle.py), on the same decisions of the same random policy in one run.

Plain scoring works as TWOSOME's reference code: one row per prompt and action for every sample, full logits, and the critic's
features computed again whenever values are needed. Model FLOPs count the matrix products of the layers and of the vocabulary
projection: 2 per weight and token in the forward pass, and as many in the backward pass, since only the adapter's weights have
gradients. The products of attention are not counted, so utilisation is underestimated.
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
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from twosome import parts
from twosome.algorithms.ppo.config import PPOConfig
from twosome.algorithms.ppo.losses import policy_terms
from twosome.algorithms.ppo.update import update_critic, update_policy
from twosome.algorithms.rollout import Batch
from twosome.benchmark.config import BenchmarkConfig
from twosome.benchmark.cost import Cost, matmul_peaks, peak_memory, show, timed
from twosome.config import typed
from twosome.decision import Decision
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError
from twosome.files import write_atomic
from twosome.language import oracle
from twosome.language.packed_linear import plain_products
from twosome.language.scorer import Scorer
from twosome.policies.context import MakeEnv
from twosome.policies.language import LanguageAgent


def benchmark(config: DictConfig, options: BenchmarkConfig, makers: dict[str, MakeEnv]) -> None:
    """Time rollouts and updates; print a table and write it to options.output.

    Timed are (a) a rollout of 4 x 32 decisions, (b) the update on it with preset=paper, (c) a rollout and an update of
    preset=wide. makers: makes the environment of each task.
    """
    presets = {name: typed(PPOConfig, compose("config", [f"preset={name}"]).ppo, "ppo") for name in ("paper", "wide")}
    agents = {task: language_agent(config, make_env) for task, make_env in makers.items()}
    peaks = matmul_peaks()
    cases = [
        Case(task, agent, makers[task], presets["paper"], presets["wide"], options.seed, options.oracle_decisions)
        for task, agent in agents.items()
    ]
    engine = [case.engine() for case in cases]
    memory = {"engine": peak_memory()}  # the peak of the process so far, so the engine is timed first
    oracle_costs = [case.oracle() for case in cases]  # plain scoring, with PyTorch's ordinary products
    memory["oracle"] = peak_memory()
    rows = [
        case.row(work, ours[work], theirs[work], max(peaks.values()))
        for case, ours, theirs in zip(cases, engine, oracle_costs, strict=True)
        for work in ours
    ]
    machine = {"threads": torch.get_num_threads(), "matmul_peak_gflops": {name: peak / 1e9 for name, peak in peaks.items()},
               "peak_memory_gb": memory, "model": cases[0].scorer.lm.name,
               "oracle_timed_on": options.oracle_decisions}  # fmt: skip
    write_atomic(Path(options.output), json.dumps({"machine": machine, "results": rows}, indent=2) + "\n")
    show(machine, rows)
    print(f"written to {options.output}")


def language_agent(config: DictConfig, make_env: MakeEnv) -> LanguageAgent:
    """Return the configuration's agent; raise UserError if it does not train a decoder-only language model."""
    agent = parts.agent(config, make_env)
    if not (isinstance(agent, LanguageAgent) and isinstance(agent.engine, Scorer)):
        chosen = HydraConfig.get().runtime.choices["baseline"]
        raise UserError(f"baseline={chosen}: expected an agent that trains a decoder-only language model; leave the option out")
    return agent


@dataclass
class Case:
    """The measurements of one task."""

    task: str
    agent: LanguageAgent
    make_env: Callable[[], Any]
    paper: PPOConfig
    wide: PPOConfig
    seed: int
    oracle_decisions: int

    def __post_init__(self) -> None:
        paper, wide = self.paper, self.wide
        self.samples = {ppo.num_envs: self.random_rollout(ppo, self.seed) for ppo in (paper, wide)}
        self.sizes = {"a  first rollout": paper.batch_size, "a  later rollout": paper.batch_size,
                      "b  update, preset=paper": paper.batch_size, "c  first rollout, wide": wide.batch_size,
                      "c  later rollout, wide": wide.batch_size, "c  update, preset=wide": wide.batch_size}  # fmt: skip

    @property
    def scorer(self) -> Scorer:
        """The agent's engine; plain scoring uses its model."""
        assert isinstance(self.agent.engine, Scorer)  # language_agent has checked it
        return self.agent.engine

    def engine(self) -> dict[str, Cost]:
        """Measure the engine's cost of each piece of work.

        "first rollout": the first of a run. "later rollout": after another rollout of the same random policy and an update, as in
        training.
        """
        self.scorer.score([("warm up the", ("model", "caches"))])
        fresh = self.agent.get_extra_state()
        costs = []
        for ppo in (self.paper, self.wide):
            steps = self.samples[ppo.num_envs]
            self.agent.set_extra_state(fresh)
            self.set_adapter(0.0)
            costs.append(self.timed(partial(self.act, steps), backward=False))
            self.agent.set_extra_state(fresh)
            self.act(self.random_rollout(ppo, self.seed + 1))
            self.set_adapter(1e-3)
            costs.append(self.timed(partial(self.act, steps), backward=False))
            batch = self.batch([decision for step in steps for decision in step])
            costs.append(self.timed(partial(self.learn, batch, ppo), backward=True))
        return dict(zip(self.sizes, costs, strict=True))

    def oracle(self) -> dict[str, Cost]:
        """Measure the cost of plain scoring on decisions of evenly spaced steps of (a), scaled to each piece of work."""
        every = self.samples[self.paper.num_envs]
        few = [decision for step in every[:: max(1, 4 * len(every) // self.oracle_decisions)] for decision in step]
        batch = self.batch(few)
        prompts = [decision.prompt for decision in few]
        with plain_products(self.agent.lm):
            act = self.timed(partial(self.plain_act, few), backward=False).times(1 / len(few))
            learn = self.timed(partial(self.plain_learn, batch), backward=True).times(1 / len(few))
            critic = self.timed(partial(oracle.features, self.scorer, prompts), backward=False).times(1 / len(few))
        costs = []
        for ppo in (self.paper, self.wide):
            update = learn.times(ppo.update_epochs).plus(critic.times(ppo.value_update_epochs))
            costs += [act.times(ppo.batch_size), act.times(ppo.batch_size), update.times(ppo.batch_size)]
        return dict(zip(self.sizes, costs, strict=True))

    def random_rollout(self, ppo: PPOConfig, seed: int) -> list[list[Decision]]:
        """Return the decisions of a rollout of a uniformly random policy, by step."""
        envs, choose, steps = DecisionEnvs(self.make_env, ppo.num_envs), random.Random(seed), []
        decisions = envs.reset(seed)
        for _ in range(ppo.num_steps):
            steps.append(decisions)
            decisions = envs.step([choose.choice(decision.action_ids) for decision in decisions]).decisions
        envs.close()
        return steps

    def act(self, steps: list[list[Decision]]) -> None:
        """Do the engine's part of a rollout: policies step by step, values at its end."""
        self.agent.eval()
        self.agent.begin_rollout()
        for decisions in steps:
            self.agent.log_policy(decisions)
        self.agent.values([decision for decisions in steps for decision in decisions])

    def batch(self, decisions: list[Decision]) -> Batch:
        """Return samples for an update: random choices with the policy's log-probabilities, and random advantages."""
        generator = torch.Generator().manual_seed(self.seed)
        log_policy = self.agent.log_policy(decisions)
        sizes = torch.tensor([len(decision.action_ids) for decision in decisions])
        choices = (torch.rand(len(decisions), generator=generator) * sizes).long()
        values = self.agent.values(decisions)
        noise = torch.randn(2, len(decisions), generator=generator)
        return Batch(decisions, choices, log_policy.gather(1, choices[:, None])[:, 0], values, noise[0], values + noise[1])

    def learn(self, batch: Batch, ppo: PPOConfig) -> None:
        """Do the engine's update, with a learning rate of 0 and no KL limit, so that no step of the preset is skipped."""
        free = PPOConfig(**{**asdict(ppo), "target_kl": None})
        policy = torch.optim.AdamW(self.agent.parameter_groups()["policy"], lr=0.0)
        critic = torch.optim.Adam(self.agent.parameter_groups()["value"], lr=0.0)
        generator = torch.Generator().manual_seed(self.seed)
        update_policy(self.agent, batch, free, policy, generator)
        update_critic(self.agent, batch, free, critic, generator)

    @torch.no_grad()
    def plain_act(self, decisions: list[Decision]) -> None:
        """Do a plain rollout: four environments per step, each prompt scored with each action, and a pass for the critic."""
        for first in range(0, len(decisions), 4):
            step = decisions[first : first + 4]
            oracle.score(self.scorer, [decision.text for decision in step]).log_policy()
            self.agent.critic(oracle.features(self.scorer, [decision.prompt for decision in step]))

    def plain_learn(self, batch: Batch) -> None:
        """Do a plain policy update: minibatches of 4 samples, one forward and backward pass each."""
        for first in range(0, len(batch.decisions), 4):
            part = slice(first, first + 4)
            log_policy = oracle.score(self.scorer, [decision.text for decision in batch.decisions[part]]).log_policy()
            terms = policy_terms(
                log_policy, batch.choices[part], batch.logprobs[part], batch.advantages[part], self.paper.clip_coef
            )
            (terms.loss - self.paper.ent_coef * terms.entropy).mean().backward()
        self.agent.zero_grad()

    def set_adapter(self, size: float) -> None:
        """Set LoRA's B matrices to random values times size: 0 as before the first update of a run, small as after it."""
        generator = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            for name, parameter in self.agent.lm.named_parameters():
                if "lora_B" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)

    def timed(self, work: Callable[[], Any], backward: bool) -> Cost:
        """Do the work once; return its cost."""
        return timed(self.scorer, work, backward)

    def row(self, work: str, engine: Cost, plain: Cost, peak: float) -> dict[str, Any]:
        """Return one row of the result. Utilisation is model FLOPs per second over the machine's measured peak."""

        def described(cost: Cost) -> dict[str, float | None]:
            in_model = None if "update" in work else cost.flops / cost.forward_seconds / peak  # backward passes are not timed
            return {
                **asdict(cost),
                "decisions_per_second": self.sizes[work] / cost.seconds,
                "utilisation": cost.flops / cost.seconds / peak,
                "utilisation_in_model": in_model,
            }

        head = {"task": self.task, "work": work, "decisions": self.sizes[work], "ratio": plain.seconds / engine.seconds}
        return head | {"engine": described(engine), "oracle": described(plain)}
