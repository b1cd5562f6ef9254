"""BabyAI's bot demonstrates every mission, and looking ahead changes nothing."""

import pytest

from twosome.envs.babyai_text.env import BabyAITextEnv
from twosome.envs.babyai_text.tasks import TASKS
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError


@pytest.mark.parametrize("task", [task for task in TASKS if task != "mixed"])
def test_a_demonstration_succeeds_and_leaves_the_level_as_it_was(task):
    env, plain = (BabyAITextEnv(task=task, render_mode="ansi") for _ in range(2))
    env.reset(seed=3)
    plain.reset(seed=3)
    for _ in range(5):
        actions = env.demonstration()
        assert env.render() == plain.render()
        assert env.np_random.bit_generator.state == plain.np_random.bit_generator.state
        for number, action in enumerate(actions, start=1):
            _, reward, terminated, truncated, info = env.step(action)
            plain.step(action)
            assert (terminated or truncated) == (number == len(actions))
        assert terminated
        assert info["success"]
        assert reward > 0
        env.reset()
        plain.reset()


def test_environments_side_by_side_demonstrate_their_own_episodes():
    envs = DecisionEnvs(lambda: BabyAITextEnv(task="go_to"), 3)
    envs.reset(0)
    found = envs.demonstrations([0, 2])
    assert found == {number: envs.players[number].env.unwrapped.demonstration() for number in (0, 2)}


def test_too_few_actions_are_one_line():
    env = BabyAITextEnv(task="go_to_local", num_actions=3)
    env.reset(seed=0)
    with pytest.raises(UserError, match=r"env\.kwargs\.num_actions=3: expected 6 or 9 for BabyAI's bot"):
        env.demonstration()
