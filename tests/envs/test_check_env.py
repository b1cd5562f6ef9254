"""What `check_env` finds in an environment is one line; what is right passes, and costs little."""

import time

import fragile
import gymnasium
import numpy as np
import pytest
from worlds import make

from twosome import UserError, check_env
from twosome.envs.babyai_text.env import BabyAITextEnv

FAULTS = {
    "obs_alone": "its step() gave array([3.], dtype=float32), expected 5: obs, reward, terminated, truncated, info",
    "four_values": "its step() gave 4 values, expected 5: obs, reward, terminated, truncated, info",
    "obs_of_another_shape": "it gave the observation of shape (3,) and float32, expected an array of shape (1,) and float32",
    "nan_obs": "its observation is array([nan], dtype=float32), expected finite numbers",
    "nan_reward": "its reward is nan, expected a finite number",
    "reward_in_words": "its reward is '1', expected a finite number",
    "truncated_at_none": "its truncated is None, expected True or False",
    "no_info": "its info is None, expected a dict",
    "lacks_success": "its info lacks success: expected prompt, action_ids, action_prompts, duration, primitive_steps, success",
    "no_actions": "it offers 0 action_ids and 0 action_prompts: expected as many of both, at least 1",
    "fewer_prompts": "it offers 3 action_ids and 2 action_prompts: expected as many of both, at least 1",
    "id_beyond": "its info['action_ids'] is (0, 1, 3), expected whole numbers from 0 to 2, as its action_space says, each once",
    "id_twice": "its info['action_ids'] is (0, 1, 1), expected whole numbers from 0 to 2, as its action_space says, each once",
    "float_ids": "its info['action_ids'] is (0.0, 1.0, 2.0), expected whole numbers from 0 to 2",
    "one_word": "its info['action_prompts'] is 'bus', expected a tuple",
    "blank_prompt": "its info['prompt'] is ' ', expected a str that does not end in a space",
    "space_after_prompt": "its info['prompt'] is 'You should ', expected a str that does not end in a space",
    "half_a_character": "its info['prompt'] is 'You should \\ud800', expected a str that does not end in a space",
    "blank_action": "its info['action_prompts'] is ('go', ' ', 'stay'), expected a str for each action, none of them blank",
    "float_duration": "its info['duration'] is 1.0, expected a whole number from 0 on",
    "steps_fall": "its info['primitive_steps'] is 1, expected 3, the sum of the durations",
    "success_in_words": "its info['success'] is 'yes', expected True or False",
    "affordance_above_1": "its info['affordances'] is (1.0, 0.5, 1.5), expected a number from 0 to 1 for each of 3 actions",
    "state_without_hash": "its info['state'] is {'place': 3}, expected something hashable",
    "obs_space_of_doubles": "its observation_space is Box(0.0, 10.0, (1,), float64), expected a Box of float32",
    "actions_from_1": "its action_space is Discrete(3, start=1), expected a Discrete that starts at 0",
    "tasks_in_a_word": "its tasks are 'bus', expected a tuple of str",
    "fewer_action_names": "its action_names are ('drive', 'stop'), expected a str for each of 3 actions",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(fault):
    with pytest.raises(UserError) as caught:
        check_env(gymnasium.make("tests/Fragile-v0", fault=fault))
    line = str(caught.value)
    assert line.startswith(f"env.id=tests/Fragile-v0: {FAULTS[fault]}")
    assert line.endswith(" (see CONTRIBUTING.md)")
    assert "\n" not in line


@pytest.mark.parametrize("fault", ["obs_alone", "float_ids", "lacks_success", "steps_fall"])
def test_the_reset_is_checked_too(fault):
    with pytest.raises(UserError, match=r"env\.id=tests/Fragile-v0: it"):
        check_env(gymnasium.make("tests/Fragile-v0", fault=fault, at=0))


class Forgetful(fragile.Fragile):
    """Draws from a generator of its own, or remembers earlier episodes."""

    episodes = 0

    def reset(self, **options):
        self.episodes += 1
        return super().reset(**options)

    def _info(self):
        number = np.random.default_rng().integers(10**9) if self.kind == "draws" else self.episodes
        return super()._info() | ({"prompt": f"Number {number}"} if self.place == self.at else {})


@pytest.mark.parametrize("kind", ["draws", "remembers"])
@pytest.mark.parametrize("at", [0, 4])
def test_the_same_seed_and_actions_must_give_the_same(kind, at):
    with pytest.raises(UserError, match=f"the same seed and actions gave .* after {at} decisions; expected the same: draw all"):
        check_env(Forgetful(kind, at=at))


@pytest.mark.parametrize("name", ["", "lists", "arrays", "numpy_outcome", "numpy_counts", "more_in_info", "long_prompt"])
def test_what_is_right_passes(name):
    check_env(gymnasium.make("tests/Fragile-v0", fault=name), steps=50)


def test_what_an_environment_raises_goes_through():
    with pytest.raises(ZeroDivisionError):
        check_env(gymnasium.make("tests/Fragile-v0", fault="raise"))


@pytest.mark.parametrize("name", ["Overcooked", "VirtualHome", "BabyAIText"])
def test_the_suites_environments_pass_quickly(name, monkeypatch):
    resets = []
    monkeypatch.setattr(BabyAITextEnv, "reset", lambda self, reset=BabyAITextEnv.reset, **o: resets.append(1) or reset(self, **o))
    env = make(name)
    check_env(env)
    began = time.process_time()
    check_env(env)
    assert time.process_time() - began < 0.3
    assert len(resets) == (4 if name == "BabyAIText" else 0)  # two each
