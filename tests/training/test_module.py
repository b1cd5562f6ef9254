"""The LightningModule: what changes from update to update."""

import functools
from typing import Any

import gymnasium
import pytest
import pytorch_lightning as pl
import torch
from ppo_options import config

import twosome
import twosome.envs
from twosome.agents.agent import LearningAgent
from twosome.agents.heads import Frozen
from twosome.agents.language import LanguageAgent
from twosome.agents.symbolic import SymbolicAgent
from twosome.algorithms.algorithm import EnvRunner, Progress
from twosome.algorithms.ppo import PPO, PPOConfig
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError
from twosome.language import norms
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.scorer import Scorer
from twosome.language.tuning import Lora
from twosome.training.module import LearningModule

UPDATES = 4
SETTINGS = {"num_envs": 2, "num_steps": 4, "learning_rate": 1e-3, "value_learning_rate": 1e-3}


def module(agent: LearningAgent, envs: DecisionEnvs, settings: PPOConfig) -> LearningModule:
    """PPO with these."""
    return LearningModule(agent, EnvRunner(envs, 0), PPO(settings), UPDATES, torch.Generator().manual_seed(0))


def kitchens() -> DecisionEnvs:
    """Two environments."""
    return DecisionEnvs(functools.partial(gymnasium.make, "twosome/Overcooked-v0", task="tomato_salad"), 2)


@pytest.mark.filterwarnings("ignore")  # Lightning's advice
@pytest.mark.parametrize(("falls", "weights"), [(False, [8.0] * UPDATES), (True, [8.0, 6.0, 4.0, 2.0])])
def test_each_update_has_its_own_entropy_bonus(falls: bool, weights: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    used = []

    def update_policy(self: PPO, agent: SymbolicAgent, batch: Any, optimizer: Any, progress: Progress, generator: Any) -> Any:
        used.append(self.config.ent_coef_at(progress))
        return original(self, agent, batch, optimizer, progress, generator)

    original = PPO.update_policy
    monkeypatch.setattr(PPO, "update_policy", update_policy)
    envs = kitchens()
    numbers, actions = envs.players[0].env.observation_space.shape[0], int(envs.players[0].env.action_space.n)
    agent = SymbolicAgent(numbers, actions, [8], torch.Generator().manual_seed(0))
    settings = config(**SETTINGS, ent_coef=8.0, anneal_ent_coef=falls)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=UPDATES, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(module(agent, envs, settings))
    assert used == weights


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])  # its output layer is the embedding, or one of its own
def test_a_checkpoint_holds_what_is_learned_and_nothing_frozen(architecture: str) -> None:
    scorer = Scorer(
        load_language_model(ModelConfig(source="tiny_random", architecture=architecture, device="cpu"), Lora()), norms.word
    )
    agent = LanguageAgent(scorer, Frozen(hidden_sizes=[8]), torch.Generator())
    made = module(agent, kitchens(), config(**SETTINGS))
    learned = {name for name, parameter in made.named_parameters() if parameter.requires_grad}
    assert made.state_dict().keys() == learned | {"agent._extra_state", "agent.critic.mean", "agent.critic.scale"}
    older = dict.fromkeys([*made.state_dict(), "agent.lm.base_model.model.lm_head.weight"])  # as they once were
    state: dict[str, Any] = {}
    made.on_save_checkpoint(state)
    made.on_load_checkpoint(state | {"state_dict": older})
    for wrong in ({**older, "agent.other": None}, {"agent._extra_state": None}):
        with pytest.raises(UserError, match="of another version"):
            made.on_load_checkpoint(state | {"state_dict": wrong})


@pytest.mark.slow
def test_dropout_is_drawn_from_the_runs_seed(tmp_path):
    found = []
    for other, seed in ((1, 0), (2, 0), (1, 3)):
        torch.manual_seed(other)
        options = [
            "model=tiny_random",
            "tuning.dropout=0.5",
            "algorithm.num_envs=2",
            "algorithm.num_steps=8",
            "total_steps=32",
            "model.seed=0",
        ]
        folder = tmp_path / f"{other}-{seed}"
        twosome.run(
            *options, f"seed={seed}", "evaluation.episodes=0", "evaluation.gif=false", "retention.drift=false", folder=folder
        )
        found.append((folder / "adapter" / "adapter_model.safetensors").read_bytes())
        assert torch.initial_seed() == other  # the caller's generator is left alone
    assert found[0] == found[1] != found[2]
