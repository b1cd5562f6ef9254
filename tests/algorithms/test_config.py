"""PPO's options: what is accepted, and that every error says which option, which value and what to do."""

from typing import Any

import pytest

from twosome.algorithms.algorithm import Progress
from twosome.algorithms.ppo.config import FRACTIONS, POSITIVE, PPOConfig
from twosome.errors import UserError

VALID = {
    "num_envs": 4, "num_steps": 6, "update_epochs": 1, "num_minibatches": 4, "gradient_accumulation_steps": 2,
    "value_update_epochs": 1, "value_num_minibatches": 2, "learning_rate": 1e-3, "value_learning_rate": 1e-2,
}  # fmt: skip


def config(**options: Any) -> PPOConfig:
    return PPOConfig(**{**VALID, **options})


def error(**options: Any) -> str:
    with pytest.raises(UserError) as caught:
        config(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_rollout_holds_envs_times_steps_samples() -> None:
    assert config().batch_size == 24


@pytest.mark.parametrize("value", [0, -1, float("nan")])
@pytest.mark.parametrize("option", POSITIVE)
def test_what_has_to_be_positive(option: str, value: float) -> None:
    assert error(**{option: value}) == f"algorithm.{option}={value}: expected a number above 0"


@pytest.mark.parametrize("option", FRACTIONS)
def test_what_has_to_be_a_fraction(option: str) -> None:
    for value in (-0.1, 1.1, float("nan")):
        assert error(**{option: value}) == f"algorithm.{option}={value}: expected a number from 0 to 1"
    for value in (0, 1):
        assert getattr(config(**{option: value}), option) == value


@pytest.mark.parametrize("value", [0, -0.02, 1e-9, float("nan")])
def test_the_kl_limit_is_above_rounding_errors_or_null(value: float) -> None:
    assert error(target_kl=value).startswith(
        f"algorithm.target_kl={value}: expected a number from 1e-07 on, or null for no limit; "
    )
    assert config(target_kl=None).target_kl is None


@pytest.mark.parametrize("value", [0, -0.1, 1e-8, 1.5, float("nan")])
def test_a_clip_range_in_which_nothing_can_be_learned_is_refused(value: float) -> None:
    assert error(clip_coef=value).startswith(f"algorithm.clip_coef={value}: expected a number from 1e-07 to 1; ")
    assert config(clip_coef=1).clip_coef == 1


@pytest.mark.parametrize("value", [1.5, float("inf")])
def test_an_epsilon_that_swallows_the_steps_is_refused(value: float) -> None:
    assert error(adam_eps=value) == f"algorithm.adam_eps={value}: expected a number of at most 1; steps are divided by it"


def test_a_critic_that_learns_to_be_wrong_is_refused() -> None:
    assert error(vf_coef=-0.5) == "algorithm.vf_coef=-0.5: expected 0 or more; below, the critic learns to be wrong"
    assert config(vf_coef=0, ent_coef=-0.1, gamma=0, gae_lambda=0, max_grad_norm=float("inf")).vf_coef == 0  # each has its uses


@pytest.mark.parametrize("options", [{"num_envs": 1, "num_steps": 1, "num_minibatches": 1}, {"num_minibatches": 24}])
def test_advantages_are_not_normalised_in_minibatches_of_one_sample(options: dict[str, int]) -> None:
    options |= {"gradient_accumulation_steps": 1, "value_num_minibatches": 1}
    message = error(**options)
    assert message.startswith(f"algorithm.norm_adv=true with algorithm.num_minibatches={options['num_minibatches']} and ")
    assert "one sample" in message
    assert "add algorithm.norm_adv=false" in message
    assert not config(**options, norm_adv=False).norm_adv


@pytest.mark.parametrize(
    ("anneal_steps", "factors"),
    [(0, [1, 0.75, 0.5, 0.25]), (60, [1, 0.75, 0.5, 0.25]), (96, [1, 0.75, 0.5, 0.25]), (120, [1, 0.8, 0.6, 0.4]),
     (121, [1, 5 / 6, 4 / 6, 3 / 6])],
)  # fmt: skip
def test_learning_rates_fall_over_the_run_or_over_anneal_steps_where_these_are_more(
    anneal_steps: int, factors: list[float]
) -> None:
    options = config(anneal_steps=anneal_steps)  # a run of 4 updates of 24 samples
    assert [options.lr_factor(Progress(update, 4)) for update in range(4)] == pytest.approx(factors)
    assert config(anneal_steps=anneal_steps, anneal_lr=False).lr_factor(Progress(3, 4)) == 1


@pytest.mark.parametrize(("falls", "weights"), [(False, [0.2] * 4), (True, [0.2, 0.15, 0.1, 0.05])])
def test_the_entropy_bonus_stays_or_falls_over_the_run(falls: bool, weights: list[float]) -> None:
    options = config(ent_coef=0.2, anneal_ent_coef=falls, anneal_steps=1000)
    assert [options.ent_coef_at(Progress(update, 4)) for update in range(4)] == pytest.approx(weights)


def test_anneal_steps_are_not_negative() -> None:
    assert error(anneal_steps=-1) == "algorithm.anneal_steps=-1: expected 0 (over the run) or more"


@pytest.mark.parametrize("option", ["num_minibatches", "value_num_minibatches"])
def test_minibatches_divide_the_rollout(option: str) -> None:
    message = error(**{option: 5})
    for part in (
        f"algorithm.{option}=5",
        "a divisor of algorithm.num_envs * algorithm.num_steps = 4 * 6 = 24",
        "change one of them",
    ):
        assert part in message


@pytest.mark.parametrize("value", [3, 8])
def test_accumulation_divides_the_minibatches(value: int) -> None:
    message = error(gradient_accumulation_steps=value)
    for part in (f"algorithm.gradient_accumulation_steps={value}", "a divisor of algorithm.num_minibatches=4", "change one of"):
        assert part in message
