"""What the prompts say, and what each dropped principle takes away."""

import re

import numpy as np
import pytest
from overcooked_tools import make, names, play

from twosome.envs.overcooked.kitchen import TASKS, Kitchen, State
from twosome.envs.overcooked.prompts import PROMPTERS

CHOPPED = ("get tomato", "go to board 1", "chop")


def words(env, *actions):
    """Prompt, and action prompts by name, after some macro-actions."""
    info = play(env, *actions)
    return info["prompt"], dict(zip(names(env), info["action_prompts"], strict=True))


def nothing_but(kitchen: Kitchen, state: State) -> tuple[str, tuple[str, ...]]:
    """A prompter for the tests."""
    return f"At {state.agent}", ("go",) * (5 if kitchen.is_small else 8)


def too_few(kitchen: Kitchen, state: State) -> tuple[str, tuple[str, ...]]:
    """A prompter that is wrong."""
    return "Where?", ("go",)


@pytest.mark.parametrize("task", TASKS)
def test_default_names_goal_and_links_to_the_action(task):
    prompt, _ = words(make(task=task))
    foods = [f"the chopped {food}" for food in TASKS[task]]
    content = " and ".join(filter(None, (", ".join(foods[:-1]), foods[-1])))
    assert prompt.endswith(f"To put {content} in the bowl and serve the dish, you should first")


def test_phrases_at_the_start():
    prompt, phrases = words(make(task="tomato_lettuce_salad"))
    assert prompt.startswith("There are two cutting boards in the room. You see a tomato, a lettuce and an onion on")
    assert "You hold nothing." in prompt
    assert "bowl" not in prompt.split("To put")[0]  # out of sight
    assert list(phrases.values()) == [
        "pick up the tomato",
        "pick up the lettuce",
        "pick up the onion",
        "take the empty bowl",
        "walk to the first cutting board",
        "walk to the second cutting board",
        "serve nothing",
        "chop nothing",
    ]


def test_phrases_follow_the_state_in_the_small_kitchen():
    env = make()
    assert words(env)[1] == {
        "get tomato": "pick up the tomato",
        "get bowl": "take the bowl",
        "go to board 1": "walk to the cutting board",
        "deliver": "serve nothing",
        "chop": "chop nothing",
    }
    prompt, phrases = words(env, "get tomato")
    assert "The unchopped tomato is in your hand." in prompt
    assert phrases["go to board 1"] == "put the tomato on the cutting board"
    assert phrases["deliver"] == "serve the dish"
    prompt, phrases = words(env, "get tomato", "go to board 1")
    assert "An unchopped tomato is on the cutting board." in prompt
    assert "You stand in front of the cutting board. You hold nothing." in prompt
    assert phrases["chop"] == "chop the tomato"
    prompt, phrases = words(env, *CHOPPED)
    assert "A chopped tomato is on the cutting board." in prompt
    assert phrases["chop"] == "chop nothing"
    prompt, phrases = words(env, "get bowl")
    assert "An empty bowl is in your hand." in prompt
    assert phrases["get tomato"] == "put the tomato in the bowl"
    assert phrases["go to board 1"] == "put the bowl on the cutting board"


def test_a_bowl_with_something_in_it_is_no_longer_empty():
    env = make(task="tomato_lettuce_salad")
    filled = (*CHOPPED, "get bowl", "get tomato")
    assert words(env, *filled[:-1])[1]["get bowl"] == "take the empty bowl"
    prompt, phrases = words(env, *filled)
    assert phrases["get bowl"] == "take the bowl"
    assert "You stand in front of the first cutting board. A bowl with chopped tomato is in your hand." in prompt
    prompt, phrases = words(env, *filled, "go to board 1")
    assert "A bowl with chopped tomato is on the first cutting board." in prompt
    _, phrases = words(env, *filled, "go to board 1", "get lettuce")
    assert phrases["go to board 1"] == "put the lettuce on the first cutting board"  # out of sight: as far as it knows
    _, phrases = words(env, *filled, "go to board 1", "get lettuce", "go to board 1")
    assert phrases["go to board 1"] == "walk to the first cutting board"  # an unchopped lettuce cannot go there


def test_what_is_out_of_sight_is_not_described():
    near, _ = words(make(), *CHOPPED)
    far, _ = words(make(), *CHOPPED, "get bowl")
    everything, _ = words(make(obs_radius=0), *CHOPPED, "get bowl")
    assert "is on the cutting board" in near
    assert "is on the cutting board" not in far
    assert "is on the cutting board" in everything


def walk(prompt: str) -> list[tuple[str, tuple[str, ...]]]:
    """The decisions of one random walk, the same for every prompter."""
    env = make(task="tomato_lettuce_salad", prompt=prompt, max_primitive_steps=10**9)
    _, info = env.reset()
    found = []
    for action in np.random.default_rng(3).integers(8, size=2000):
        found.append((info["prompt"], info["action_prompts"]))
        *_, terminated, _, info = env.step(action)
        if terminated:
            _, info = env.reset()
    return found


@pytest.fixture(scope="module")
def default():
    return walk("default")


def test_no_cohesion_drops_the_linking_phrase_only(default):
    for (prompt, phrases), (whole, whole_phrases) in zip(walk("no_cohesion"), default, strict=True):
        assert "you should first" not in prompt
        assert prompt.endswith("Your task is to put the chopped tomato and the chopped lettuce in the bowl and serve the dish.")
        assert prompt.split("Your task")[0] == whole.split("To put")[0]
        assert phrases == whole_phrases


def test_no_articles_drops_articles_only(default):
    def bare(text):
        return re.sub(r"\b(the|an?) ", "", text, flags=re.IGNORECASE).lower()

    for (prompt, phrases), (whole, whole_phrases) in zip(walk("no_articles"), default, strict=True):
        assert not re.search(r"\b(the|an?)\b", " ".join((prompt, *phrases)), flags=re.IGNORECASE)
        assert prompt.lower() == bare(whole)
        assert list(phrases) == [bare(phrase) for phrase in whole_phrases]
        assert all(sentence[0].isupper() for sentence in prompt.split(". "))


def test_no_context_drops_the_goal_only(default):
    for (prompt, phrases), (whole, whole_phrases) in zip(walk("no_context"), default, strict=True):
        assert prompt == whole.split("To put")[0] + "You should first"
        assert phrases == whole_phrases


def test_no_adaptation_fixes_the_action_phrases_only(default):
    found = walk("no_adaptation")
    assert [prompt for prompt, _ in found] == [prompt for prompt, _ in default]
    assert len({phrases for _, phrases in found}) == 1
    assert len({phrases for _, phrases in default}) > 10


def test_prompts_are_short(default):
    assert max(len(re.findall(r"\w+|[^\w\s]", prompt)) for prompt, _ in default) <= 75


def test_a_prompter_can_be_a_function_or_its_path():
    for prompt in (nothing_but, f"{__name__}:nothing_but"):
        assert play(make(prompt=prompt), "get tomato")["prompt"] == "At (1, 5)"
    assert set(PROMPTERS) == {"default", "explicit", "no_cohesion", "no_articles", "no_context", "no_adaptation"}


def test_a_prompter_with_the_wrong_number_of_phrases_is_refused():
    with pytest.raises(ValueError, match="expected 5 action prompts"):
        make(prompt=too_few).reset()
