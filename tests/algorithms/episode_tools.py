"""For tests of algorithms that learn from whole episodes: a small world, and an agent that reads its observation."""

from dataclasses import fields
from typing import Any

import gymnasium
import numpy as np
import torch
from ppo_options import OPTIONS

from twosome.agents.symbolic import SymbolicAgent
from twosome.algorithms.algorithm import EnvRunner
from twosome.algorithms.ppo import ClippedConfig, PolicyConfig
from twosome.algorithms.reinforce import Episodic
from twosome.envs.vector import DecisionEnvs

GAMMA = 0.5
POLICY = {each.name: OPTIONS[each.name] for each in fields(PolicyConfig)} | {"gamma": GAMMA}
CLIPPED = {each.name: OPTIONS[each.name] for each in fields(ClippedConfig)} | POLICY


class Stairs(gymnasium.Env):
    """A random number of stairs, 1 to 5; action 0 lasts one primitive step, action 1 two; each takes one stair, reward 1."""

    observation_space = gymnasium.spaces.Box(0, 5, (1,), dtype=np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.stairs, self.time = int(self.np_random.integers(1, 6)), 0
        return self._obs(), self._info(0)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.stairs, self.time = self.stairs - 1, self.time + 1 + action
        return self._obs(), 1.0, self.stairs == 0, False, self._info(1 + action)

    def _obs(self) -> np.ndarray:
        return np.array([self.stairs], dtype=np.float32)

    def _info(self, duration: int) -> dict[str, Any]:
        return {"prompt": f"{self.stairs} stairs", "action_ids": (0, 1), "action_prompts": ("run", "walk"),
                "duration": duration, "primitive_steps": self.time, "success": self.stairs == 0}  # fmt: skip


def config(**options: Any) -> PolicyConfig:
    return PolicyConfig(**{**POLICY, **options})


def agent() -> SymbolicAgent:
    return SymbolicAgent(1, 2, [8], torch.Generator().manual_seed(0))


def runner(algorithm: Episodic, seed: int = 0) -> EnvRunner:
    return EnvRunner(DecisionEnvs(Stairs, algorithm.num_envs, GAMMA), seed, algorithm.group_size)
