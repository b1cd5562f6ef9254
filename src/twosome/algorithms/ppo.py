"""PPO (Schulman et al. 2017) on the decisions of parallel environments: options, losses, minibatches and the update."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, AdamW, Optimizer

from twosome.agents.agent import Evaluation, LearningAgent
from twosome.algorithms.algorithm import (
    Algorithm,
    EnvRunner,
    Metrics,
    Progress,
    check_finite,
    require,
    require_divisor,
    take_step,
)
from twosome.algorithms.rollout import Batch, ValuesOf, rollout
from twosome.config import typed
from twosome.decision import Decision
from twosome.errors import check

KL_FACTOR = 1.5
"""The factor by which desired_kl changes the policy's learning rate."""

# Options


class Minibatch(Enum):
    """What a minibatch of the policy's update holds: shuffled samples, or all samples of some distinct decisions."""

    samples = "samples"
    decisions = "decisions"


@dataclass(frozen=True)
class PolicyConfig:
    """Options of all algorithms that follow the policy's gradient; conf/algorithm/ppo.yaml says what each means."""

    num_envs: int
    num_steps: int
    learning_rate: float
    anneal_lr: bool
    anneal_steps: int
    gamma: float
    norm_adv: bool
    base_kl_coef: float
    anneal_base_kl_coef: bool
    ent_coef: float
    anneal_ent_coef: bool
    max_grad_norm: float
    adam_eps: float

    def __post_init__(self) -> None:
        positive = ("num_envs", "num_steps", "learning_rate", "max_grad_norm", "adam_eps")
        require(self, positive, lambda value: value > 0, "a number above 0")
        require(self, ("gamma",), lambda value: 0 <= value <= 1, "a number from 0 to 1")
        require(self, ("base_kl_coef", "anneal_steps"), lambda value: value >= 0, "0 or more")

    @property
    def batch_size(self) -> int:
        """Samples in a rollout."""
        return self.num_envs * self.num_steps

    def lr_factor(self, progress: Progress) -> float:
        """Return the factor of the learning rates in an update."""
        if not self.anneal_lr:
            return 1.0
        return 1 - progress.update / max(progress.num_updates, -(-self.anneal_steps // self.batch_size))

    def ent_coef_at(self, progress: Progress) -> float:
        """Return the weight of the entropy bonus in an update."""
        return self.ent_coef * (progress.remaining if self.anneal_ent_coef else 1)

    def base_kl_coef_at(self, progress: Progress) -> float:
        """Return the weight of the KL to the policy before training in an update."""
        return self.base_kl_coef * (progress.remaining if self.anneal_base_kl_coef else 1)

    def check(self, agent: LearningAgent) -> None:
        """Raise UserError for base_kl_coef with an agent that has no policy before training."""
        has_base = not self.base_kl_coef or agent.language_model is not None
        check(has_base, "algorithm.base_kl_coef", self.base_kl_coef, "0 for a baseline without a language model")


@dataclass(frozen=True)
class ClippedConfig(PolicyConfig):
    """Options of the policy's update of PPO, which GRPO shares."""

    update_epochs: int
    num_minibatches: int
    minibatch: Minibatch
    gradient_accumulation_steps: int
    clip_coef: float
    clip_coef_high: float | None
    clip_adv: float | None
    target_kl: float | None

    def __post_init__(self) -> None:
        super().__post_init__()
        positive = ("update_epochs", "num_minibatches", "gradient_accumulation_steps", "clip_adv", "target_kl")
        require(self, positive, lambda value: value > 0, "a number above 0")
        require(self, ("clip_coef",), lambda value: 0 < value <= 1, "a number above 0, at most 1")
        least = f"null or a number from algorithm.clip_coef={self.clip_coef} on"
        require(self, ("clip_coef_high",), lambda value: value >= self.clip_coef, least)
        if self.minibatch is Minibatch.samples:
            require_divisor(self, "num_minibatches")
        require_divisor(self, "gradient_accumulation_steps", "num_minibatches")


@dataclass(frozen=True)
class PPOConfig(ClippedConfig):
    """CleanRL's vocabulary. A sample is one decision of one environment; a rollout has num_envs x num_steps of them."""

    value_update_epochs: int
    value_num_minibatches: int
    value_learning_rate: float
    desired_kl: float | None
    gae_lambda: float
    clip_vloss: bool
    pairwise_vloss: bool
    count_exponent: float
    value_warmup_updates: int
    vf_coef: float
    bootstrap_truncated: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        positive = ("value_update_epochs", "value_num_minibatches", "value_learning_rate", "desired_kl")
        require(self, positive, lambda value: value > 0, "a number above 0")
        require(self, ("gae_lambda", "count_exponent"), lambda value: 0 <= value <= 1, "a number from 0 to 1")
        require(self, ("vf_coef", "value_warmup_updates"), lambda value: value >= 0, "0 or more")
        require_divisor(self, "value_num_minibatches")
        single = self.batch_size == self.num_minibatches and self.minibatch is Minibatch.samples
        check(not (self.norm_adv and single), "algorithm.norm_adv", "true", "false with minibatches of one sample")


# Losses: pure functions of tensors, one term per sample. The caller divides sums by the batch's size, so that a batch that is
# scored in several pieces has exactly the gradient of the batch scored at once.


class PolicyTerms(NamedTuple):
    """Per sample, (n,): the clipped surrogate loss, the entropy, and two diagnostics without gradient.

    approx_kl: (ratio - 1) - log ratio (Schulman 2020, "Approximating KL divergence"). clipped: 1.0 where the ratio left
    the clip range.
    """

    loss: Tensor
    entropy: Tensor
    approx_kl: Tensor
    clipped: Tensor


def policy_terms(
    log_policy: Tensor, choices: Tensor, old_logprobs: Tensor, advantages: Tensor, clip_coef: float,
    clip_coef_high: float | None = None,
) -> PolicyTerms:  # fmt: skip
    """Return the terms of the policy loss.

    log_policy: (n, actions) log-probabilities of a decision's actions (absent ones very negative, but finite).
    choices: (n,) which of them was taken. old_logprobs, advantages: (n,). The ratio is clipped to the range from 1 - clip_coef to
    1 + clip_coef_high; None: to 1 + clip_coef.
    """
    logratio = log_policy.gather(1, choices.unsqueeze(1)).squeeze(1) - old_logprobs
    loss, approx_kl, outside = surrogate(logratio, advantages, clip_coef, clip_coef_high)
    return PolicyTerms(loss, entropy(log_policy), approx_kl, outside)


def surrogate(
    logratio: Tensor, advantages: Tensor, clip_coef: float, clip_coef_high: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss, approx_kl and clipped, as in PolicyTerms, of ratios in any shape, which is that of advantages."""
    high = clip_coef if clip_coef_high is None else clip_coef_high
    ratio = logratio.exp()
    loss = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip_coef, 1 + high))
    with torch.no_grad():
        approx_kl = (ratio - 1) - logratio
        outside = ((ratio < 1 - clip_coef) | (ratio > 1 + high)).to(ratio.dtype)
    return loss, approx_kl, outside


def entropy(log_policy: Tensor) -> Tensor:
    """Return the entropy of each decision's policy, (n,), in nats. log_policy: (n, actions), as in `policy_terms`."""
    return -(log_policy.exp() * log_policy).sum(dim=1)


def divergence(log_policy: Tensor, log_base: Tensor) -> Tensor:
    """Return KL(policy || base) of each decision, (n,), in nats. log_policy, log_base: (n, actions), as in `policy_terms`."""
    return (log_policy.exp() * (log_policy - log_base)).sum(dim=1)


def value_terms(values: Tensor, old_values: Tensor, returns: Tensor, clip_coef: float, clip_vloss: bool) -> Tensor:
    """Return half the squared error of each value, (n,); with clip_vloss the worse of it and of the value clipped to within
    clip_coef of old_values (OpenAI baselines' PPO2)."""
    loss = (values - returns) ** 2
    if clip_vloss:
        clipped = old_values + (values - old_values).clamp(-clip_coef, clip_coef)
        loss = torch.maximum(loss, (clipped - returns) ** 2)
    return 0.5 * loss


def pairwise_value_terms(values: Tensor, old_values: Tensor, returns: Tensor, clip_coef: float, clip_vloss: bool) -> Tensor:
    """Return the mean of each value's terms with all n samples in place of its own, (m,): what GLAM's code (Carta et al. 2023)
    minimises. values: (m,). old_values, returns: (n,), of a minibatch that holds the m samples."""
    return value_terms(values.unsqueeze(1), old_values, returns, clip_coef, clip_vloss).mean(dim=1)


def normalize(advantages: Tensor) -> Tensor:
    """Return advantages with mean 0 and standard deviation 1; a single one, or equal ones, become 0."""
    if advantages.numel() < 2:
        return torch.zeros_like(advantages)
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def clipped(advantages: Tensor, most: float | None) -> Tensor:
    """Return advantages clipped to within most of 0; None clips none."""
    return advantages if most is None else advantages.clamp(-most, most)


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """Return 1 - Var(returns - values) / Var(returns): 1 for a perfect critic, 0 for a constant one or equal returns."""
    variance = returns.var().item() if len(returns) > 1 else 0.0
    return 0.0 if variance == 0 else 1 - (returns - values).var().item() / variance


# Minibatches


def shuffled_minibatches(samples: int, parts: int, generator: torch.Generator) -> list[Tensor]:
    """Return the indices of shuffled samples in equal parts. One part is not shuffled."""
    order = torch.randperm(samples, generator=generator) if parts > 1 else torch.arange(samples)
    return list(order.chunk(parts))


def decision_minibatches(keys: Sequence[Hashable], sizes: Sequence[int], parts: int, generator: torch.Generator) -> list[Tensor]:
    """Return the indices of the samples of shuffled decisions, in parts that share no decision and have about the same size.

    keys: of each sample, equal for samples of one decision. sizes: of each sample's decision, what it costs to evaluate it.
    Where there are fewer decisions than parts, each part has one decision, and there are fewer parts.
    """
    samples: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        samples.setdefault(key, []).append(index)
    distinct = list(samples.values())
    chosen: list[list[int]] = [[] for _ in range(min(parts, len(distinct)))]
    loads = [0] * len(chosen)
    for number in torch.randperm(len(distinct), generator=generator).tolist():
        lightest = loads.index(min(loads))
        chosen[lightest] += distinct[number]
        loads[lightest] += sizes[distinct[number][0]]
    return [torch.tensor(sorted(indices)) for indices in chosen]


def count_weights(keys: Sequence[Hashable], exponent: float) -> Tensor:
    """Return a weight for each sample, (n,), with mean 1: proportional to count**-exponent, where count samples have its key."""
    counts = Counter(keys)
    weights = torch.tensor([counts[key] ** -exponent for key in keys], dtype=torch.float64)
    return (weights / weights.mean()).float()


@dataclass(frozen=True)
class RecurrentBatch(Batch):
    """A rollout of an agent with memory, divided into sequences of successive samples of one environment and one episode.

    A sequence begins with the memory that the agent had there in the rollout, and a minibatch has whole sequences.
    """

    sequences: list[list[int]]


# The update

TERMS = ("policy_loss", "entropy", "approx_kl", "clipfrac")
"""The names of PolicyTerms in metrics.csv."""
CHECKED = ("policy_loss", "value_loss", "approx_kl")


class Targets(NamedTuple):
    """What the policy's update needs of a rollout besides the batch; tensors are (samples,).

    advantages: normalised over the rollout where minibatches hold decisions. weights: of the samples, with mean 1; None: all 1.
    log_base: (samples, actions), the policy before training; None without the term of the loss that needs it. keys: of the
    samples' decisions (`LearningAgent.decision_key`); empty where samples are not treated by their decision.
    """

    advantages: Tensor
    weights: Tensor | None
    log_base: Tensor | None
    keys: list[Hashable]


class PPO(Algorithm):
    """PPO with the agent's policy and values.

    An agent whose values come with its policy (`LearningAgent.joint_values`) has one optimizer and one loss, as in the paper. The
    value function of any other learns apart, with an optimizer, passes and minibatches of its own, as TWOSOME's.

    The methods from `advantages` to `explained_variance` say what the unit is: here an action has one ratio, one advantage and
    one value. `POAD` overrides them with those of tokens.

    rate_scale: the factor of the policy's learning rate in the next update (desired_kl).
    """

    progress_metrics = ("approx_kl",)
    recurrent = True

    def __init__(self, config: PPOConfig) -> None:
        self.config, self.num_envs, self.batch_size = config, config.num_envs, config.batch_size
        self.rate_scale = 1.0

    def check(self, agent: LearningAgent) -> None:
        """See Algorithm."""
        self.config.check(agent)
        by_decision = self.config.minibatch is Minibatch.decisions
        check(agent.recurrence == 1 or not by_decision, "algorithm.minibatch", "decisions", "samples for an agent with memory")
        updates, expected = self.config.value_warmup_updates, "0 where values learn together with the policy (value_head)"
        check(not (updates and agent.joint_values), "algorithm.value_warmup_updates", updates, expected)

    def optimizers(self, agent: LearningAgent) -> list[Optimizer]:
        """Return AdamW without decay on the policy (the reference's), and Adam on the value function."""
        config, groups = self.config, agent.parameter_groups()
        if agent.joint_values:
            groups = {"policy": [parameter for group in groups.values() for parameter in group]}
        policy = AdamW(groups["policy"], config.learning_rate, eps=config.adam_eps, weight_decay=0.0)
        if agent.joint_values:
            return [policy]
        return [policy, Adam(groups["value"], config.value_learning_rate, eps=config.adam_eps)]

    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> Batch:
        """Return num_steps decisions in every environment, with advantages."""
        config = self.config
        collected = rollout(agent, runner, config.num_steps, generator)
        batch = collected.finish(self.values(agent), config.gamma, config.gae_lambda, config.bootstrap_truncated)
        return batch if agent.recurrence == 1 else RecurrentBatch(**vars(batch), sequences=collected.sequences(agent.recurrence))

    def values(self, agent: LearningAgent) -> ValuesOf:
        """Return the function that values a rollout's decisions."""

        def values_of(decisions: Sequence[Decision]) -> Tensor:
            if self.config.base_kl_coef:
                agent.warm_cache(decisions)
            return agent.values(decisions)

        return values_of

    def update(
        self, agent: LearningAgent, batch: Batch, optimizers: list[Optimizer], progress: Progress, generator: torch.Generator
    ) -> Metrics:
        """Take the policy's optimizer steps, then the value function's where it learns apart.

        The learning rates and, with anneal_ent_coef, the entropy bonus fall over the run.
        """
        factor = self.config.lr_factor(progress)
        policy_rate = self.config.learning_rate * factor * self.rate_scale
        rates = {"policy_lr": policy_rate, "value_lr": self.config.value_learning_rate * factor}
        for optimizer, rate in zip(optimizers, rates.values(), strict=False):
            for group in optimizer.param_groups:
                group["lr"] = rate
        if progress.update < self.config.value_warmup_updates:
            learned = self.no_steps()
        else:
            learned = self.update_policy(agent, batch, optimizers[0], progress, generator)
        self.rate_scale = self.next_rate_scale(learned["approx_kl"])
        if not agent.joint_values:
            learned |= self.update_critic(agent, batch, optimizers[1], generator)
        return learned | rates

    def next_rate_scale(self, approx_kl: float) -> float:
        """Return the factor of the policy's learning rate in the next update (Rudin et al. 2022, appendix A.1).

        approx_kl: of this update's steps, NaN if it had none.
        """
        desired = self.config.desired_kl
        if desired is None:
            return 1.0
        if approx_kl > 2 * desired:
            return self.rate_scale / KL_FACTOR
        return min(self.rate_scale * KL_FACTOR, 1.0) if approx_kl < desired / 2 else self.rate_scale

    def no_steps(self) -> Metrics:
        """Return the metrics of an update in which the policy stays as it is."""
        names = (*TERMS, *(("base_kl",) if self.config.base_kl_coef else ()))
        return dict.fromkeys(names, float("nan")) | {"policy_steps": 0, "kl_stop": 0, "grad_norm": 0.0}

    def update_policy(
        self, agent: LearningAgent, batch: Batch, optimizer: Optimizer, progress: Progress, generator: torch.Generator
    ) -> Metrics:
        """Take up to update_epochs passes of optimizer steps, each on gradient_accumulation_steps minibatches.

        A step whose samples have moved beyond target_kl is not taken. With minibatches of samples the update ends there;
        minibatches of decisions share no decision, so the next step is tried. The minibatches of a step are scored together, so a
        decision that several of them hold is computed once.
        """
        config, steps, taken = self.config, list[Metrics](), 0
        targets, per_step = self.targets(agent, batch), config.gradient_accumulation_steps
        for _ in range(config.update_epochs):
            parts = self.minibatches(agent, batch, targets, generator)
            for first in range(0, len(parts), per_step):
                steps.append(self.policy_gradient(agent, batch, parts[first : first + per_step], targets, progress))
                if config.target_kl is not None and steps[-1]["approx_kl"] > config.target_kl:
                    optimizer.zero_grad()
                    if config.minibatch is Minibatch.samples:
                        return _mean(steps) | {"policy_steps": taken, "kl_stop": 1}
                    continue
                losses = {name: value for name, value in steps[-1].items() if name in CHECKED}
                steps[-1]["grad_norm"] = take_step(optimizer, config.max_grad_norm, len(steps), **losses)
                taken += 1
        return _mean(steps) | {"policy_steps": taken, "kl_stop": len(steps) - taken}

    def targets(self, agent: LearningAgent, batch: Batch) -> Targets:
        """Prepare the targets of a rollout."""
        config, advantages, weights, log_base = self.config, self.advantages(batch), None, None
        if config.norm_adv and config.minibatch is Minibatch.decisions:
            advantages = self.normalized(batch, [torch.arange(len(batch.decisions))])
        by_decision = config.count_exponent or config.minibatch is Minibatch.decisions
        keys = [agent.decision_key(decision) for decision in batch.decisions] if by_decision else []
        if config.count_exponent:
            weights = count_weights(keys, config.count_exponent).to(advantages.device)
        if config.base_kl_coef:
            log_base = agent.base_log_policy(batch.decisions)
        return Targets(advantages, weights, log_base, keys)

    def minibatches(self, agent: LearningAgent, batch: Batch, targets: Targets, generator: torch.Generator) -> list[Tensor]:
        """Return the samples of each minibatch of a pass of the policy; of agents with memory, whole sequences."""
        parts = self.config.num_minibatches
        if self.config.minibatch is Minibatch.decisions:
            return decision_minibatches(targets.keys, agent.sizes(batch.decisions), parts, generator)
        if not isinstance(batch, RecurrentBatch):
            return shuffled_minibatches(len(batch.decisions), parts, generator)
        keys, sizes = [0] * len(batch.decisions), [1] * len(batch.decisions)
        for number, sequence in enumerate(batch.sequences):
            for sample in sequence:
                keys[sample], sizes[sample] = number, len(sequence)
        return decision_minibatches(keys, sizes, parts, generator)

    def policy_gradient(
        self, agent: LearningAgent, batch: Batch, parts: list[Tensor], targets: Targets, progress: Progress
    ) -> Metrics:
        """Add the gradient of the policy loss on these minibatches to the parameters' grad; return means over the samples.

        The loss is divided by the samples that so many minibatches have on average, so that a pass over minibatches of unequal
        size weighs all samples alike.
        """
        config, advantages, chosen = self.config, targets.advantages, torch.cat(parts)
        if config.norm_adv and config.minibatch is Minibatch.samples:
            advantages = self.normalized(batch, parts)
        usual = len(batch.decisions) / config.num_minibatches * len(parts)
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=batch.advantages.device))
        for members, found in self.evaluate(agent, batch, chosen):
            index = chosen[torch.tensor(members)]
            terms = self.policy_terms(batch, found, index, advantages[index])
            loss = terms.loss - config.ent_coef_at(progress) * terms.entropy
            named = dict(zip(TERMS, terms, strict=True))
            if found.values is not None:
                named["value_loss"] = self.value_terms(batch, self.values_of(found), index, chosen)
                loss = loss + config.vf_coef * named["value_loss"]
            if targets.log_base is not None:
                named["base_kl"] = divergence(found.log_policy, targets.log_base[index, : found.log_policy.shape[1]])
                loss = loss + config.base_kl_coef_at(progress) * named["base_kl"]
            if targets.weights is not None:
                loss = loss * targets.weights[index]
            (loss.sum() / usual).backward()
            for name, term in named.items():
                sums[name] = sums[name] + term.detach().sum()
        means = {name: float(total / len(chosen)) for name, total in sums.items()}
        if "value_loss" in means:
            means["explained_variance"] = self.explained_variance(batch)
        return means | {"grad_norm": float("nan"), "share": len(chosen) / usual}

    def update_critic(self, agent: LearningAgent, batch: Batch, optimizer: Optimizer, generator: torch.Generator) -> Metrics:
        """Take value_update_epochs passes of value_num_minibatches optimizer steps on the value function."""
        config, values_of, losses = self.config, self.value_function(agent, batch), []
        learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        for _ in range(config.value_update_epochs):
            for index in shuffled_minibatches(config.batch_size, config.value_num_minibatches, generator):
                loss = self.value_terms(batch, values_of(index), index, index).mean()
                optimizer.zero_grad()
                (config.vf_coef * loss).backward()
                norm = clip_grad_norm_(learned, config.max_grad_norm)
                losses.append(loss.item())
                check_finite(len(losses), value_loss=losses[-1], critic_grad_norm=float(norm))
                optimizer.step()
        optimizer.zero_grad()
        return {"value_loss": sum(losses) / len(losses), "explained_variance": self.explained_variance(batch)}

    def advantages(self, batch: Batch) -> Tensor:
        """Return the advantages of the units, (samples, ...)."""
        return batch.advantages

    def normalized(self, batch: Batch, parts: Sequence[Tensor]) -> Tensor:
        """Return the advantages, normalised within each part and clipped by clip_adv; undefined outside of the parts."""
        advantages = torch.empty_like(batch.advantages)
        for part in parts:
            advantages[part] = clipped(normalize(batch.advantages[part]), self.config.clip_adv)
        return advantages

    def evaluate(self, agent: LearningAgent, batch: Batch, chosen: Tensor) -> Iterator[tuple[list[int], Evaluation]]:
        """Evaluate the chosen samples' decisions with gradient; of agents with memory, in whole sequences."""
        if not isinstance(batch, RecurrentBatch):
            yield from agent.evaluate([batch.decisions[index] for index in chosen.tolist()])
            return
        place = {sample: index for index, sample in enumerate(chosen.tolist())}
        wanted = [sequence for sequence in batch.sequences if sequence[0] in place]
        flat = [place[sample] for sequence in wanted for sample in sequence]
        for members, found in agent.evaluate_sequences([[batch.decisions[sample] for sample in each] for each in wanted]):
            yield [flat[member] for member in members], found

    def policy_terms(self, batch: Batch, found: Evaluation, index: Tensor, advantages: Tensor) -> PolicyTerms:
        """Return the terms of the policy loss, (m,) each. advantages: of these samples."""
        config = self.config
        chosen = (batch.choices[index], batch.logprobs[index], advantages)
        return policy_terms(found.log_policy, *chosen, config.clip_coef, config.clip_coef_high)

    def values_of(self, found: Evaluation) -> Tensor:
        """Return the units' values of an agent whose values come with its policy."""
        assert found.values is not None  # by joint_values
        return found.values

    def value_function(self, agent: LearningAgent, batch: Batch) -> Callable[[Tensor], Tensor]:
        """Return a function from the indices of samples to their units' values; see `LearningAgent.value_function`."""
        return agent.value_function(batch.decisions)

    def value_terms(self, batch: Batch, values: Tensor, index: Tensor, step: Tensor) -> Tensor:
        """Return the terms of the value loss, (m,). index: the values' samples, (m,). step: those of the optimizer step, (n,)."""
        terms, own = (pairwise_value_terms, step) if self.config.pairwise_vloss else (value_terms, index)
        return terms(values, batch.values[own], batch.returns[own], self.config.clip_coef, self.config.clip_vloss)

    def explained_variance(self, batch: Batch) -> float:
        """Return the share of the variance of the units' returns that their values explain."""
        return explained_variance(batch.values, batch.returns)

    def state_dict(self) -> dict[str, Any]:
        """Return the factor of the learning rate."""
        return {"rate_scale": self.rate_scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Algorithm."""
        self.rate_scale = state["rate_scale"]


def _mean(steps: list[Metrics]) -> Metrics:
    """Return means over the optimizer steps, weighted by their samples, without "share"; the gradient norm's over those taken."""
    shares = [step["share"] for step in steps]
    means = {
        name: sum(share * step[name] for share, step in zip(shares, steps, strict=True)) / sum(shares)
        for name in steps[0]
        if name not in ("grad_norm", "share")
    }
    norms = [step["grad_norm"] for step in steps if step["grad_norm"] == step["grad_norm"]]
    return means | {"grad_norm": sum(norms) / len(norms) if norms else 0.0}


def build(**options: Any) -> PPO:
    """Build the algorithm of conf/algorithm/ppo.yaml and its variants. options: as in PPOConfig. Raises UserError."""
    return PPO(typed(PPOConfig, OmegaConf.create(options), "algorithm"))
