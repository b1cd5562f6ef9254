"""The policy's learning rate follows the KL of the updates (algorithm.desired_kl), over a killed run's end too."""

import math

import pytest
import torch
from updates import agent, config, rollout

from twosome.algorithms.algorithm import Progress
from twosome.algorithms.ppo import PPO


@pytest.mark.parametrize(
    ("scale", "approx_kl", "expected"),
    [(1.0, 0.021, 1 / 1.5), (1.0, 0.02, 1.0), (1.0, 0.004, 1.0), (0.5, 0.004, 0.75), (0.5, 0.005, 0.5), (0.8, 0.0, 1.0),
     (0.5, math.nan, 0.5)],
)  # fmt: skip
def test_the_rate_falls_above_twice_the_desired_kl_and_rises_below_half_of_it(
    scale: float, approx_kl: float, expected: float
) -> None:
    algorithm = PPO(config(desired_kl=0.01))
    algorithm.rate_scale = scale
    assert algorithm.next_rate_scale(approx_kl) == pytest.approx(expected)
    assert PPO(config()).next_rate_scale(approx_kl) == 1


@pytest.mark.parametrize(("desired_kl", "rates"), [(1e-6, [1e-2, 5e-3 / 1.5]), (1.0, [1e-2, 5e-3]), (None, [1e-2, 5e-3])])
def test_an_update_has_the_rate_that_the_last_one_left(desired_kl: float | None, rates: list[float]) -> None:
    language, options = agent(), config(desired_kl=desired_kl)
    batch, algorithm = rollout(language), PPO(options)
    optimizers = algorithm.optimizers(language)
    found = []
    for update in range(2):
        metrics = algorithm.update(language, batch, optimizers, Progress(update, 2), torch.Generator().manual_seed(0))
        assert metrics["approx_kl"] > 1e-5
        assert metrics["value_lr"] == pytest.approx(1e-2 * (1 - update / 2))
        assert optimizers[0].param_groups[0]["lr"] == metrics["policy_lr"]
        found.append(metrics["policy_lr"])
        goes_on = PPO(options)
        goes_on.load_state_dict(algorithm.state_dict())
        algorithm = goes_on
    assert found == pytest.approx(rates)
