"""For tests of updates: an agent, a rollout, and the losses of minibatches computed plainly, from the oracle's scores."""

from typing import Any

import numpy as np
import torch
from ppo_options import config as config
from torch import Tensor

import oracle
from twosome.agents.heads import Frozen, ValueHead
from twosome.agents.language import LanguageAgent
from twosome.algorithms.algorithm import Progress
from twosome.algorithms.ppo import PPO, PPOConfig
from twosome.algorithms.rollout import Batch
from twosome.decision import Decision
from twosome.language import norms
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.scorer import Scorer
from twosome.language.tuning import Lora

KINDS = [
    ("You notice a tomato on the table.", ("pick up the tomato", "chop", "serve the dish")),
    ("You notice a tomato on the table.", ("chop", "go left")),
    ("Now you are in the kitchen", ("open the microwave", "sit on the sofa", "go", "go forward")),
    ("You see the sofa", ("sit on the sofa",)),
    ("Currently you are carrying a bowl", ("serve the dish", "go left")),
]
SAMPLES = 12


FIRST = Progress(0, 1)


def agent(head: ValueHead | None = None, **engine: int) -> LanguageAgent:
    """The same agent at every call, with an adapter that matters and critics that differ between prompts."""
    head = head or Frozen(hidden_sizes=[16])
    language = load_language_model(ModelConfig(source="tiny_random", device="cpu"), Lora())
    made = LanguageAgent(Scorer(language, norms.token, **engine), head, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in language.learned():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return made


def rollout(language: LanguageAgent, stale: float = 0.3) -> Batch:
    """Random samples with duplicates; stale: how far the log-probabilities they were drawn with differ from today's."""
    generator = torch.Generator().manual_seed(3)
    decisions = [Decision(np.zeros(1, dtype=np.float32), *_numbered(*KINDS[i % 5])) for i in range(SAMPLES)]
    choices = torch.tensor([i % len(one.action_ids) for i, one in enumerate(decisions)])
    now = language.log_policy(decisions).gather(1, choices.unsqueeze(1)).squeeze(1)
    noise, advantages, returns = torch.randn(3, SAMPLES, generator=generator)
    return Batch(decisions, choices, now + stale * noise, language.values(decisions), 1 + 2 * advantages, returns)


def _numbered(prompt: str, actions: tuple[str, ...]) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
    return prompt, tuple(range(len(actions))), actions


def plain_loss(language: LanguageAgent, batch: Batch, index: Tensor, options: PPOConfig, weights: Tensor | None = None) -> Tensor:
    """CleanRL's policy loss of one minibatch, one oracle row per sample and action. weights: of the samples, in the batch."""
    scores = oracle.score(language.engine, [batch.decisions[i].text for i in index.tolist()]).scores
    advantages = batch.advantages[index]
    if options.norm_adv:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    losses, entropies = [], []
    for row, i, advantage in zip(scores, index.tolist(), advantages, strict=True):
        policy = torch.distributions.Categorical(logits=row[: len(batch.decisions[i].action_ids)])
        ratio = (policy.log_prob(batch.choices[i]) - batch.logprobs[i]).exp()
        clipped = ratio.clamp(1 - options.clip_coef, 1 + options.clip_coef)
        losses.append(torch.max(-advantage * ratio, -advantage * clipped))
        entropies.append(policy.entropy())
    terms = torch.stack(losses) - options.ent_coef * torch.stack(entropies)
    return (terms if weights is None else terms * weights[index]).mean()


def step(language: LanguageAgent, batch: Batch, parts: list[Tensor], options: PPOConfig) -> dict[str, float]:
    """The gradient of one optimizer step."""
    algorithm = PPO(options)
    return algorithm.policy_gradient(language, batch, parts, algorithm.targets(language, batch), FIRST)


def update_policy(language: LanguageAgent, batch: Batch, options: PPOConfig, *rest: Any) -> dict[str, float]:
    """The policy's part of an update. rest: optimizer and generator."""
    optimizer, generator = rest
    return PPO(options).update_policy(language, batch, optimizer, FIRST, generator)


def update_critic(language: LanguageAgent, batch: Batch, options: PPOConfig, *rest: Any) -> dict[str, float]:
    """The critic's part of an update. rest: optimizer and generator."""
    return PPO(options).update_critic(language, batch, *rest)


def gradient(language: LanguageAgent) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in language.parameter_groups()["policy"]])


def weights(language: LanguageAgent) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in language.parameter_groups()["policy"]])


def sgd(language: LanguageAgent, lr: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD(language.parameter_groups()["policy"], lr)
