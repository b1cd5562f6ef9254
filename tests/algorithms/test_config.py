"""Options: the ranges outside of which an algorithm would learn nothing, and rates and weights over a run."""

from typing import Any

import pytest
from updates import config

from twosome.algorithms.algorithm import Progress
from twosome.errors import UserError

ROLLOUT = {"num_envs": 4, "num_steps": 6}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"num_envs": 0}, "algorithm.num_envs=0: expected a number above 0"),
        ({"learning_rate": float("nan")}, "algorithm.learning_rate=nan: expected a number above 0"),
        ({"gamma": 1.1}, "algorithm.gamma=1.1: expected a number from 0 to 1"),
        ({"target_kl": 0.0}, "algorithm.target_kl=0.0: expected a number above 0"),
        ({"clip_coef": 1.5}, "algorithm.clip_coef=1.5: expected a number above 0, at most 1"),
        ({"clip_coef_high": 0.1}, "algorithm.clip_coef_high=0.1: expected null or a number from algorithm.clip_coef=0.2 on"),
        ({"count_exponent": 2.0}, "algorithm.count_exponent=2.0: expected a number from 0 to 1"),
        ({"base_kl_coef": -1.0}, "algorithm.base_kl_coef=-1.0: expected 0 or more"),
        ({"num_minibatches": 5}, "algorithm.num_minibatches=5: expected a divisor of num_envs * num_steps = 24"),
        ({"value_num_minibatches": 5}, "algorithm.value_num_minibatches=5: expected a divisor of num_envs * num_steps = 24"),
        ({"num_minibatches": 4, "gradient_accumulation_steps": 3}, "algorithm.gradient_accumulation_steps=3: expected a divisor"),
        ({"num_minibatches": 24}, "algorithm.norm_adv=true: expected false with minibatches of one sample"),
    ],
)
def test_wrong_values_are_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as raised:
        config(**{**ROLLOUT, **options})
    assert str(raised.value).startswith(line)


@pytest.mark.parametrize(
    ("anneal_steps", "factors"),
    [(0, [1, 0.75, 0.5, 0.25]), (96, [1, 0.75, 0.5, 0.25]), (120, [1, 0.8, 0.6, 0.4]), (121, [1, 5 / 6, 4 / 6, 3 / 6])],
)
def test_learning_rates_fall_over_the_run_or_over_anneal_steps_where_these_are_more(
    anneal_steps: int, factors: list[float]
) -> None:
    options = config(**ROLLOUT, anneal_steps=anneal_steps)  # a run of 4 updates of 24 samples
    assert [options.lr_factor(Progress(update, 4)) for update in range(4)] == pytest.approx(factors)
    assert config(anneal_steps=anneal_steps, anneal_lr=False).lr_factor(Progress(3, 4)) == 1


@pytest.mark.parametrize(("falls", "weights"), [(False, [0.2] * 4), (True, [0.2, 0.15, 0.1, 0.05])])
def test_the_entropy_bonus_stays_or_falls_over_the_run(falls: bool, weights: list[float]) -> None:
    options = config(ent_coef=0.2, anneal_ent_coef=falls, anneal_steps=1000)
    assert [options.ent_coef_at(Progress(update, 4)) for update in range(4)] == pytest.approx(weights)
