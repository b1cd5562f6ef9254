"""What holds in all environments of the suite, in every task and wording."""

import re
import time
from functools import cache

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasiums_check
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import make

from twosome.envs import check_env
from twosome.envs.babyai_text.prompts import PROMPTERS as BABYAI_TEXT
from twosome.envs.frozen_lake import PROMPTERS as FROZEN_LAKE
from twosome.envs.optimum import Searchable
from twosome.envs.overcooked.prompts import PROMPTERS as OVERCOOKED
from twosome.envs.sokoban.prompts import PROMPTERS as SOKOBAN
from twosome.envs.vector import DecisionEnvs
from twosome.envs.virtualhome.prompts import PROMPTERS as VIRTUALHOME
from twosome.errors import UserError
from twosome.language import tiny
from twosome.language.tokens import DecisionTokenizer

LINES = {name: BABYAI_TEXT[name] for name in ("default", "invented_words", "action_synonyms")}  # the others exchange words, too
PROMPTERS = {
    "BabyAIText": LINES,
    "FrozenLake": FROZEN_LAKE,
    "Overcooked": OVERCOOKED,
    "Sokoban": SOKOBAN,
    "VirtualHome": VIRTUALHOME,
}
KEYS = {"prompt", "action_ids", "action_prompts", "affordances", "duration", "primitive_steps", "success"}
MORE = {
    "BabyAIText": {"descriptions", "mission"},
    "FrozenLake": {"state"},
    "Overcooked": {"state"},
    "Sokoban": {"state"},
    "VirtualHome": {"state", "executed"},
}
SIZES = {  # of observation and actions; None: the other tasks
    "BabyAIText": {None: (159, 6)},
    "FrozenLake": {"4x4": (32, 4), None: (128, 4)},
    "Overcooked": {"tomato_salad": (18, 5), None: (26, 8)},
    "Sokoban": {None: (64, 4)},
    "VirtualHome": {"entertainment": (21, 17), None: (11, 10)},
}
TASKS = [(name, task) for name in PROMPTERS for task in make(name).tasks]
worlds = pytest.mark.parametrize("name", PROMPTERS)


@cache
def made(name: str, task: str, prompt: str = "default"):
    return make(name, task=task, prompt=prompt)


@cache
def tokenizer(architecture: str) -> DecisionTokenizer:
    return DecisionTokenizer(tiny.build_tokenizer(architecture), tiny.POSITIONS)


def test_every_environment_of_the_suite_is_here():
    here = {*PROMPTERS, "TextWorld"}  # of which tests of its own play few games, since they have to be generated
    suites = {name for name, spec in gymnasium.registry.items() if str(spec.entry_point).startswith("twosome.envs.")}
    assert {f"twosome/{name}-v0" for name in here} == suites


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_every_task_passes_both_checkers(name, task, capsys):
    env = make(name, task=task)
    gymnasiums_check(env, skip_render_check=True)
    check_env(env, steps=30)
    assert (*env.observation_space.shape, env.action_space.n) == SIZES[name].get(task, SIZES[name][None])
    assert len(env.action_names) == env.action_space.n
    assert isinstance(env, Searchable) == (name != "BabyAIText")
    assert capsys.readouterr().out == ""  # minigrid prints a line for each rejected level


def check_words(info: dict) -> None:
    """What a language model gets to read is well-formed."""
    prompt, actions = info["prompt"], info["action_prompts"]
    assert len(set(actions)) == len(actions), actions  # otherwise no policy could tell them apart
    for text in (prompt.replace(" \n ", " "), *actions):  # BabyAI-Text's prompts have lines
        assert text == text.strip() != ""
        assert text.isprintable()
        assert not re.search(r"  | [.,]|\.\.|,,|\bNone\b|[{}<>_]", text), text
    assert prompt[0].isupper()
    assert all(action[0].islower() and action[-1].isalpha() for action in actions), actions
    for architecture in ("llama", "gpt2"):
        (tokens,) = tokenizer(architecture)([(prompt, actions)])  # raises where the border between the two merges
        assert len(set(tokens.actions)) == len(actions)


@pytest.mark.parametrize(("name", "prompt"), [(name, prompt) for name, found in PROMPTERS.items() for prompt in found])
@settings(max_examples=25)
@given(data=st.data())
def test_any_walk_keeps_the_contract_and_is_well_worded(name, prompt, data):
    tasks = [task for world, task in TASKS if world == name and (prompt == "default" or task != "go_to_french")]
    task = data.draw(st.sampled_from(tasks))
    env = made(name, task, prompt)
    obs, info = env.reset(seed=data.draw(st.integers(0, 2**32 - 1)))
    total = 0
    for choice in [*data.draw(st.lists(st.integers(0, 99), max_size=25)), 0]:
        assert obs in env.observation_space
        assert set(info) - {"task"} == KEYS | MORE[name]
        check_words(info)
        obs, _, terminated, truncated, info = env.step(np.int64(info["action_ids"][choice % len(info["action_ids"])]))
        total += info["duration"]
        assert info["primitive_steps"] == total
        assert not (terminated and truncated)
        assert info["success"] == terminated or name == "FrozenLake"  # which also ends in a hole
        if terminated or truncated:
            break


@worlds
def test_the_same_actions_give_the_same_episode_and_observations_are_the_callers(name):
    episodes = []
    for _ in range(2):
        env = make(name)
        obs, info = env.reset(seed=3)
        episode = [(obs.tolist(), info)]
        obs[:] = 5
        for action in np.random.default_rng(1).integers(4, size=12):
            obs, *rest = env.step(action)
            episode.append((obs.tolist(), *rest))
            obs[:] = 5
            if rest[1] or rest[2]:
                break
        episodes.append(episode)
    assert episodes[0] == episodes[1]


@worlds
def test_a_step_needs_a_running_episode_and_an_action(name):
    env = make(name)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    for action in (-1, env.action_space.n):
        with pytest.raises(UserError, match=f"action={action}: expected 0 to {env.action_space.n - 1}"):
            env.step(action)
    while not any(env.step(0)[2:4]):
        pass
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


@worlds
def test_no_render_mode_draws_nothing(name):
    env = make(name)
    env.reset(seed=0)
    assert env.render() is None


def prompter(*_):
    """A prompter for the tests."""
    return "Hello", ("go",) * 6


@worlds
def test_a_prompter_can_be_a_function_or_its_path(name):
    for prompt in (prompter, f"{__name__}:prompter"):
        assert make(name, prompt=prompt).reset(seed=0)[1]["prompt"] == "Hello"


REFUSED = {
    "Overcooked": {
        "task=tomato_soup": {"task": "tomato_soup"},
        "prompt=defualt": {"prompt": "defualt"},
        "expected an import path package.module:function": {"prompt": "nowhere.at.all:prompter"},
        "prompt=3": {"prompt": 3},
        "map=Z": {"map": "Z"},
        "obs_radius=-1": {"obs_radius": -1},
        "idle_actions=46: expected a whole number from 0 to 45": {"idle_actions": 46},
        "idle_actions=True": {"idle_actions": True},
        "max_primitive_steps=0: expected a whole number from 1 on; the paper's is 200": {"max_primitive_steps": 0},
        "gamma=0.0": {"gamma": 0.0},
        "step_penalty=nan": {"step_penalty": float("nan")},
        "chop_reward=much": {"chop_reward": "much"},
        "render_mode=svg": {"render_mode": "svg"},
    },
    "FrozenLake": {
        "task=5x5": {"task": "5x5"},
        "split=valid": {"split": "valid"},
        "num_maps=0: expected a whole number from 1 on, or null": {"num_maps": 0},
        "max_primitive_steps=0: expected": {"max_primitive_steps": 0},
        "step_penalty=inf": {"step_penalty": float("inf")},
    },
    "Sokoban": {
        "task=one: expected one of one_box, three_boxes, two_boxes": {"task": "one"},
        "split=valid: expected one of test, train": {"split": "valid"},
        "size=4: expected a whole number from 5 to 10": {"size": 4},
        "num_rooms=0: expected a whole number from 1 on, or null": {"num_rooms": 0},
        "min_steps=16: expected a whole number from 1 to 15 with max_primitive_steps=15": {"min_steps": 16},
        "solved_reward=inf": {"solved_reward": float("inf")},
    },
    "TextWorld": {
        "task=cook: expected one of coin_collector, cooking,": {"task": "cook"},
        "prompt=explicit: expected one of default,": {"prompt": "explicit"},
        "settings.cooking.level=2: expected one of the settings recipe,": {
            "task": "cooking",
            "settings": {"cooking": {"level": 2}},
        },
        "settings.simple.rewards=few: expected": {"task": "simple", "settings": {"simple": {"rewards": "few"}}},
        "split=valid: expected one of test, train": {"split": "valid"},
        "num_games=0": {"num_games": 0},
        "history=-1": {"history": -1},
        "max_primitive_steps=0": {"max_primitive_steps": 0},
        "render_mode=svg": {"render_mode": "svg"},
    },
    "VirtualHome": {"task=laundri": {"task": "laundri"}, "max_primitive_steps=0": {"max_primitive_steps": 0}},
    "BabyAIText": {
        "task=goto: expected one of go_to,": {"task": "goto"},
        "expected default with task=go_to_french": {"prompt": "other_nouns", "task": "go_to_french"},
        "split=test: expected train with task=go_to_local": {"split": "test", "task": "go_to_local"},
        "num_actions=4: expected 3, 6 or 9": {"num_actions": 4},
        "num_actions=3: expected 6 or 9 with task=unlock": {"num_actions": 3, "task": "unlock"},
        "num_objects=1: expected a whole number from 2 to 16 with task=put_next_to": {"num_objects": 1},
        "num_objects=17: expected": {"num_objects": 17, "task": "go_to"},
        "num_objects=9: expected a whole number from 1 to 4 with task=go_to and room_size=5": {"room_size": 5},
        "room_size=4: expected a whole number from 5 to 50": {"room_size": 4},
        "past_observations=0: expected a whole number from 1 on": {"past_observations": 0},
        "past_actions=3: expected a whole number from 0 to 2": {"past_actions": 3},
        "mixture_seed=-1: expected": {"mixture_seed": -1},
        "mixture_seed=1: expected null with task=go_to": {"mixture_seed": 1, "task": "go_to"},
        "reward_scale=inf: expected a number above 0": {"reward_scale": float("inf")},
        "reward_scale=0: expected a number above 0": {"reward_scale": 0},
    },
}


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, found in REFUSED.items() for words in found])
@pytest.mark.filterwarnings("ignore:.*not in the possible render_modes")
def test_a_bad_option_is_named_in_one_line(name, words):
    with pytest.raises(UserError) as error:
        make(name, **REFUSED[name][words])
    assert words in str(error.value)
    assert "expected" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "task"), [("Overcooked", "tomato_lettuce_salad"), ("VirtualHome", "entertainment"),
                                            ("BabyAIText", "go_to"), ("BabyAIText", "unlock"),
                                            ("FrozenLake", "8x8"),
                                            ("Sokoban", "one_box")])  # fmt: skip
def test_steps_are_fast(name, task):
    """3,000 steps/s; twice as many are usual in BabyAI-Text, twenty times as many in the others once their states are known."""
    envs, rates = DecisionEnvs(lambda: make(name, task=task), 1), []
    decisions = envs.reset(0)
    for _ in range(4):  # a busy machine may slow some of them
        began = time.process_time()
        for number in range(1_500):
            ids = decisions[0].action_ids
            decisions = envs.step([ids[number * 7 % len(ids)]]).decisions
        rates.append(1_500 / (time.process_time() - began))
    assert max(rates) > 3_000
