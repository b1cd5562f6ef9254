"""What goes wrong in an environment is one line with the environment, its number and the way there; what is right passes."""

import fragile  # noqa: F401 - registers it
import gymnasium
import pytest
from omegaconf import OmegaConf

from twosome import experiment
from twosome.envs.checked import KEYS
from twosome.envs.vector import DecisionEnvs
from twosome.errors import RunError, UserError


def maker(fault):
    return experiment.environment(OmegaConf.create({"id": "tests/Fragile-v0", "kwargs": {"fault": fault}}))


def message(fault, kind, act):
    """What a fault in the third step of one environment among two says."""
    with pytest.raises(kind) as caught:
        act(maker(fault))
    said = str(caught.value)
    assert "\n" not in said
    assert "env.id=tests/Fragile-v0" in said
    return said


def alone(make_env):
    env = make_env()
    env.reset(seed=0)
    for action in (2, 0, 1):
        env.step(action)


def side_by_side(make_env):
    """The second environment's third step comes first: the first one's episode began anew."""
    envs = DecisionEnvs(make_env, 2)
    envs.reset(0)
    envs.players[0].reset()
    envs.players[1].step(2)
    for _ in range(2):
        envs.step([0, 0])


@pytest.mark.parametrize("reward", ["nan", "inf"])
def test_a_reward_that_is_no_number(reward):
    assert f"its step() gave the reward {reward}, expected a finite number" in message(f"{reward}_reward", UserError, alone)
    assert "environment 1:" in message(f"{reward}_reward", UserError, side_by_side)


def test_an_environment_that_raises():
    said = message("raise", RunError, alone)
    assert "its step() raised ZeroDivisionError (the bus has no wheels) at fragile.py:" in said
    assert "actions since the episode began: [2, 0, 1]" in said
    assert "environment 1:" in message("raise", RunError, side_by_side)


@pytest.mark.parametrize("key", KEYS)
def test_an_info_that_lacks_something(key):
    said = message(f"lacks_{key}", UserError, alone)
    assert f"its info lacks {key}: expected {', '.join(KEYS)}" in said


@pytest.mark.parametrize(("fault", "counts"), [("no_actions", "0 action_ids and 0"), ("fewer_prompts", "3 action_ids and 2")])
def test_actions_that_are_none_or_do_not_match(fault, counts):
    assert f"it offers {counts} action_prompts" in message(fault, UserError, alone)


def test_what_is_right_passes_unchanged():
    plain, checked = gymnasium.make("tests/Fragile-v0"), maker("")()
    for env in (plain, checked):
        env.reset(seed=5)
    for _ in range(10):
        (_, *one), (_, *other) = plain.step(1), checked.step(1)
        assert one == other
