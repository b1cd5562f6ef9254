"""What goes wrong in an environment is one line with the environment, its number and the way there; what is right passes."""

import os
import signal

import fragile
import gymnasium
import pytest
from omegaconf import OmegaConf

from twosome import build
from twosome.decision import Decision
from twosome.envs.contract import KEYS
from twosome.envs.vector import DecisionEnvs
from twosome.errors import RunError, UserError

LACKS = f"expected {', '.join(KEYS)}"
FLAGS = "as terminated and truncated, expected True or False"
OBS = "expected an array of shape (1,) and float32, as its observation_space says"
REWARD = "expected a finite number from -1e+15 to 1e+15"
IDS = "expected whole numbers from 0 to 2, as its action_space says, none of them twice"
COUNT = "expected a whole number from 0 on"
AS_MANY = "expected as many of both, at least one"
SPOKEN = "expected words (UTF-8) for each action, none of them blank"
LIKELY = "expected a number from 0 to 1 for each of 3 actions"

FAULTS = {
    "nothing": "its step() gave None, expected 5: obs, reward, terminated, truncated, info",
    "obs_alone": "its step() gave array([3.], dtype=float32), expected 5: obs, reward, terminated, truncated, info",
    "four_values": "its step() gave 4 values, expected 5: obs, reward, terminated, truncated, info",
    "obs_of_another_shape": f"its step() gave the observation of shape (3,) and float32, {OBS}",
    "obs_of_doubles": f"its step() gave the observation of shape (1,) and float64, {OBS}",
    "obs_that_is_a_list": f"its step() gave the observation [1.0], {OBS}",
    "nan_obs": "its step() gave the observation array([nan], dtype=float32), expected finite numbers",
    "nan_reward": f"its step() gave the reward nan, {REWARD}",
    "inf_reward": f"its step() gave the reward inf, {REWARD}",
    "huge_reward": f"its step() gave the reward 1e+300, {REWARD}",
    "reward_in_words": f"its step() gave the reward '1', {REWARD}",
    "no_reward": f"its step() gave the reward None, {REWARD}",
    "reward_that_is_a_list": f"its step() gave the reward [1.0], {REWARD}",
    "terminated_in_words": f"its step() gave 'no' and False {FLAGS}",
    "truncated_at_none": f"its step() gave False and None {FLAGS}",
    "no_info": "its info is None, expected a dict",
    **{f"lacks_{key}": f"its info lacks {key}: {LACKS}" for key in KEYS},
    "no_actions": f"it offers 0 action_ids and 0 action_prompts: {AS_MANY}",
    "fewer_prompts": f"it offers 3 action_ids and 2 action_prompts: {AS_MANY}",
    "id_beyond": f"its info['action_ids'] is (0, 1, 3), {IDS}",
    "id_below": f"its info['action_ids'] is (-1, 1, 2), {IDS}",
    "id_twice": f"its info['action_ids'] is (0, 1, 1), {IDS}",
    "float_ids": f"its info['action_ids'] is (0.0, 1.0, 2.0), {IDS}",
    "bool_ids": f"its info['action_ids'] is (False, True, 2), {IDS}",
    "mask_as_ids": f"its info['action_ids'] is array([ True, False, True]), {IDS}",
    "set_of_ids": "its info['action_ids'] is {0, 1, 2}, expected a tuple",
    "one_word": "its info['action_prompts'] is 'bus', expected a tuple",
    "prompt_that_is_a_number": "its info['prompt'] is 3, expected words (UTF-8) that do not end in a space",
    "prompt_that_is_a_list": "its info['prompt'] is ['You', 'see'], expected words (UTF-8) that do not end in a space",
    "blank_prompt": "its info['prompt'] is ' ', expected words (UTF-8) that do not end in a space",
    "space_after_prompt": "its info['prompt'] is 'You should ', expected words (UTF-8) that do not end in a space",
    "half_a_character": "its info['prompt'] is 'You should \\ud800', expected words (UTF-8) that do not end in a space",
    "action_that_is_a_number": f"its info['action_prompts'] is ('go', 2, 'stay'), {SPOKEN}",
    "blank_action": f"its info['action_prompts'] is ('go', ' ', 'stay'), {SPOKEN}",
    "duration_below_0": f"its info['duration'] is -1, {COUNT}",
    "float_duration": f"its info['duration'] is 1.0, {COUNT}",
    "nan_duration": f"its info['duration'] is nan, {COUNT}",
    "bool_duration": f"its info['duration'] is True, {COUNT}",
    "steps_fall": "its info['primitive_steps'] is 1, expected 3: 2 before and the duration 1",
    "steps_jump": "its info['primitive_steps'] is 7, expected 3: 2 before and the duration 1",
    "steps_below_0": "its info['primitive_steps'] is -2, expected 3: 2 before and the duration 1",
    "success_in_words": "its info['success'] is 'yes', expected True or False",
    "no_success": "its info['success'] is None, expected True or False",
    "fewer_affordances": f"its info['affordances'] is (1.0, 0.5), {LIKELY}",
    "affordance_above_1": f"its info['affordances'] is (1.0, 0.5, 1.5), {LIKELY}",
    "nan_affordance": f"its info['affordances'] is (1.0, nan, 0.5), {LIKELY}",
    "state_without_hash": "its info['state'] is {'place': 3}, expected something hashable",
}
RAISED = {
    "raise": "raised ZeroDivisionError (the bus has no wheels)",
    "exit": "raised SystemExit (0)",
    "abort": "raised Fault (out of fuel)",
}
FOUND_FIRST = {
    "obs_space_of_doubles": "its observation_space is Box(0.0, 10.0, (1,), float64), expected a Box of float32",
    "obs_space_of_parts": "its observation_space is Dict('place': Discrete(10)), expected a Box of float32",
    "no_obs_space": "its observation_space is None, expected a Box of float32",
    "box_of_actions": "its action_space is Box(0.0, 1.0, (2,), float32), expected a Discrete that starts at 0",
    "actions_from_1": "its action_space is Discrete(3, start=1), expected a Discrete that starts at 0",
    "tasks_in_a_word": "its tasks are 'bus', expected a tuple of str",
    "fewer_action_names": "its action_names are ('drive', 'stop'), expected a tuple of 3 str",
}
AT_RESET = {
    "obs_alone": "its reset() gave array([0.], dtype=float32), expected 2: obs, info",
    "obs_of_another_shape": f"its reset() gave the observation of shape (3,) and float32, {OBS}",
    "float_ids": f"its info['action_ids'] is (0.0, 1.0, 2.0), {IDS}",
    "lacks_prompt": f"its info lacks prompt: {LACKS}",
    "steps_jump": "its info['primitive_steps'] is 7, expected 0 at reset",
}
RIGHT = ("lists", "arrays", "range", "numpy_ids", "words_of_another_kind", "equal_prompts", "numpy_outcome", "numbers_as_flags",
         "numpy_counts", "more_in_info")  # fmt: skip


def config(fault, **kwargs):
    return OmegaConf.create({"id": "tests/Fragile-v0", "kwargs": {"fault": fault, **kwargs}})


def maker(fault):
    return build.environment(config(fault))


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


def line(kind, act, *arguments):
    with pytest.raises(kind) as caught:
        act(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_as_the_contract_says(fault):
    way = "(see CONTRIBUTING.md); actions since the episode began:"
    assert line(UserError, alone, maker(fault)) == f"env.id=tests/Fragile-v0: {FAULTS[fault]} {way} [2, 0, 1]"


@pytest.mark.parametrize("fault", ["obs_of_another_shape", "no_reward", "float_duration", "fewer_prompts"])
def test_which_of_many_environments_it_is(fault):
    way = "(see CONTRIBUTING.md); actions since the episode began:"
    said = f"env.id=tests/Fragile-v0, environment 1: {FAULTS[fault]} {way} [2, 0, 0]"
    assert line(UserError, side_by_side, maker(fault)) == said


@pytest.mark.parametrize("fault", RAISED)
def test_an_environment_that_raises(fault):
    said = line(RunError, alone, maker(fault))
    assert said.startswith(f"env.id=tests/Fragile-v0: its step() {RAISED[fault]} at fragile.py:")
    assert said.endswith("; actions since the episode began: [2, 0, 1]; HYDRA_FULL_ERROR=1 shows the traceback")
    assert "environment 1: its step() raised" in line(RunError, side_by_side, maker(fault))


@pytest.mark.parametrize("fault", FOUND_FIRST)
def test_spaces_are_looked_at_before_anything_is_done(fault):
    assert line(UserError, maker, fault) == f"env.id=tests/Fragile-v0: {FOUND_FIRST[fault]} (see CONTRIBUTING.md)"


@pytest.mark.parametrize("fault", AT_RESET)
def test_the_first_decision_is_looked_at_before_anything_is_done(fault):
    said = line(UserError, build.environment, config(fault, at=0))
    assert said == f"env.id=tests/Fragile-v0: {AT_RESET[fault]} (see CONTRIBUTING.md); before the first action"


@pytest.mark.parametrize("fault", RAISED)
@pytest.mark.parametrize(("at", "where"), [(-1, "with {'fault': '%s', 'at': -1}: it "), (0, ": its reset() ")])
def test_an_environment_that_cannot_be_made_or_begun(fault, at, where):
    said = line(UserError, build.environment, config(fault, at=at))
    assert said.startswith("env.id=tests/Fragile-v0")
    assert f"{where % fault if at else where}{RAISED[fault]} at fragile.py:" in said
    assert "HYDRA_FULL_ERROR=1 shows the traceback" in said


def test_an_environment_that_takes_no_render_mode(monkeypatch):
    spec = gymnasium.envs.registration.EnvSpec("tests/Blind-v0", lambda: fragile.Fragile())
    monkeypatch.setitem(gymnasium.registry, spec.id, spec)
    said = line(UserError, build.environment, OmegaConf.create({"id": spec.id}))
    assert "got an unexpected keyword argument 'render_mode'" in said
    assert "expected an environment that can be made so (see CONTRIBUTING.md)" in said


@pytest.mark.parametrize("at", [-1, 0, 3])
def test_ctrl_c_is_not_the_environments(at):
    with pytest.raises(KeyboardInterrupt):
        alone(build.environment(config("interrupt", at=at)))


def test_what_a_signals_handler_raises_is_not_the_environments(monkeypatch):
    def handler(number, frame):
        raise SystemExit(-1)  # as submitit's, which has queued the job again

    def send(given):
        os.kill(os.getpid(), signal.SIGUSR1)
        return given["obs"], 0.0, False, False, given["info"]

    monkeypatch.setitem(fragile.STEPS, "signal", send)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(SystemExit, match="-1"):
            alone(maker("signal"))
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_unusual_and_right(name):
    env = maker(name)()
    plain = maker("")()
    for each in (env, plain):
        each.reset(seed=0)
    for _ in range(3):
        (obs, reward, *flags, info), (*_, usual) = env.step(1), plain.step(1)
    decision, expected = Decision.from_step(obs, info), Decision.from_step(obs, usual)
    assert (float(reward) >= 0, [bool(flag) for flag in flags]) == (True, [False, False])
    assert decision.action_ids == expected.action_ids == (0, 1, 2)
    assert {type(text) for text in (decision.prompt, *decision.action_prompts)} == {str}
    assert decision.affordances in (None, (1, 0.5, 0))
    assert int(info["primitive_steps"]) == 3
    if name == "words_of_another_kind":
        assert decision.text == ("You should", ("wait", "walk home", "read"))
    elif name != "equal_prompts":
        assert decision.text == expected.text


def test_what_is_right_passes_unchanged():
    plain, checked = gymnasium.make("tests/Fragile-v0"), maker("")()
    for env in (plain, checked):
        env.reset(seed=5)
    for _ in range(10):
        (_, *one), (_, *other) = plain.step(1), checked.step(1)
        assert one == other


def test_words_that_change_in_a_list_are_looked_at_again(monkeypatch):
    words = list(fragile.WORDS)
    monkeypatch.setitem(fragile.STEPS, "list", fragile.info(prompt="You should", action_prompts=words))
    env = maker("list")()
    alone(lambda: env)
    words[1] = ""
    assert "is ['wait for the bus', '', 'read the paper'], expected words" in line(UserError, alone, lambda: env)


@pytest.mark.parametrize("kwargs", [{}, {"kwargs": None}])
def test_an_environment_without_options(kwargs):
    assert build.environment(OmegaConf.create({"id": "tests/Fragile-v0", **kwargs}))().unwrapped.kind == ""


def test_options_that_are_none():
    said = line(UserError, build.environment, OmegaConf.create({"id": "tests/Fragile-v0", "kwargs": "fast"}))
    assert said == "env.kwargs=fast: expected the environment's options, as in env.kwargs.<option>=..."
