"""The manual's A2C, from a file outside of the checkout, makes the step of its definition on PPO's rollout."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from episode_tools import GAMMA, Stairs, agent

from twosome.algorithms.algorithm import EnvRunner, Progress
from twosome.envs.vector import DecisionEnvs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "algorithm.md"


def test_a2c_of_the_manual(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(code.splitlines()) < 60
    (tmp_path / "a2c.py").write_text(code)
    spec = importlib.util.spec_from_file_location("a2c", tmp_path / "a2c.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    algorithm, player, plain = module.A2C(3, 4, 1.0, GAMMA, 0.9, 0.1), agent(), agent()
    runner = EnvRunner(DecisionEnvs(Stairs, 3, GAMMA), 0)
    batch = algorithm.collect(player, runner, torch.Generator().manual_seed(0))
    still = [torch.optim.SGD(group, 0.0) for group in player.parameter_groups().values()]
    found = algorithm.update(player, batch, still, Progress(0, 1), torch.Generator())
    ((_, evaluation),) = plain.evaluate(batch.decisions)
    policy = torch.distributions.Categorical(logits=evaluation.log_policy)
    loss = -(batch.advantages * policy.log_prob(batch.choices) + 0.1 * policy.entropy()).mean()
    assert found["policy_loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert found["value_loss"] == pytest.approx((plain.values(batch.decisions) - batch.returns).square().mean().item(), rel=1e-5)
