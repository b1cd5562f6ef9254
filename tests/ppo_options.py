"""Options of PPO for tests: one pass over one minibatch of few samples, by CleanRL's settings."""

from typing import Any

from twosome.algorithms.ppo import Minibatch, PPOConfig

OPTIONS: dict[str, Any] = {
    "num_envs": 3, "num_steps": 4, "update_epochs": 1, "num_minibatches": 1, "minibatch": Minibatch.samples,
    "gradient_accumulation_steps": 1, "value_update_epochs": 1, "value_num_minibatches": 1, "learning_rate": 1e-2,
    "value_learning_rate": 1e-2, "anneal_lr": True, "anneal_steps": 0, "desired_kl": None, "gamma": 0.99, "gae_lambda": 0.95,
    "clip_coef": 0.2, "clip_coef_high": None, "clip_vloss": True, "pairwise_vloss": False, "norm_adv": True, "clip_adv": None,
    "count_exponent": 0.0, "base_kl_coef": 0.0, "anneal_base_kl_coef": True, "value_warmup_updates": 0, "ent_coef": 0.01,
    "anneal_ent_coef": False, "vf_coef": 0.5, "max_grad_norm": 0.5, "target_kl": None, "adam_eps": 1e-5,
    "bootstrap_truncated": True,
}  # fmt: skip


def config(**options: Any) -> PPOConfig:
    return PPOConfig(**{**OPTIONS, **options})
