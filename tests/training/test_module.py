"""The LightningModule: what changes from update to update."""

import functools
from typing import Any

import gymnasium
import pytest
import pytorch_lightning as pl
import torch

import twosome.envs  # noqa: F401  (registers the environment)
from twosome.envs.vector import DecisionEnvs
from twosome.policies.symbolic import SymbolicAgent
from twosome.ppo.config import PPOConfig
from twosome.training import module as training

UPDATES = 4


@pytest.mark.filterwarnings("ignore")  # Lightning's advice
@pytest.mark.parametrize(("falls", "weights"), [(False, [8.0] * UPDATES), (True, [8.0, 6.0, 4.0, 2.0])])
def test_each_update_has_its_own_entropy_bonus(falls: bool, weights: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    used = []

    def update_policy(agent: SymbolicAgent, samples: Any, config: PPOConfig, *rest: Any) -> dict[str, float]:
        used.append(config.ent_coef)
        return original(agent, samples, config, *rest)

    original = training.update_policy
    monkeypatch.setattr(training, "update_policy", update_policy)
    envs = DecisionEnvs(functools.partial(gymnasium.make, "twosome/Overcooked-v0", task="tomato_salad"), 2)
    numbers, actions = envs.envs[0].observation_space.shape[0], int(envs.envs[0].action_space.n)
    agent = SymbolicAgent(numbers, actions, [8], torch.Generator().manual_seed(0))
    config = PPOConfig(2, 4, 1, 1, 1, 1, 1, 1e-3, 1e-3, ent_coef=8.0, anneal_ent_coef=falls)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=UPDATES, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(training.PPOModule(agent, envs, config, UPDATES, seed=0))
    assert used == weights
