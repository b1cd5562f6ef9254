"""What the prompts of Overcooked and VirtualHome say, and what each dropped principle takes away."""

import re
from functools import cache

import numpy as np
import pytest
from worlds import FOOD, FUN, HOUSEHOLD, home, kitchen, make, play, said, states

from twosome.envs.overcooked.kitchen import TASKS
from twosome.envs.overcooked.prompts import PROMPTERS
from twosome.envs.virtualhome.task import load_task

CHOPPED = ("get tomato", "go to board 1", "chop")
WATCH = "To watch TV on the sofa with the chips and the milk, you should first"
GOALS = {"Overcooked": "To put the chopped tomato and the chopped lettuce in the bowl and serve the dish, you should first",
         "VirtualHome": WATCH}  # fmt: skip
LONG = {"Overcooked": "tomato_lettuce_salad", "VirtualHome": "entertainment"}
worlds = pytest.mark.parametrize("world", LONG)


def prompt(env, *actions):
    return play(env, *actions)["prompt"]


@pytest.mark.parametrize("task", [*TASKS, *HOUSEHOLD])
def test_default_names_goal_and_links_to_the_action(task):
    if task in HOUSEHOLD:
        goal = load_task(task).goal
        assert any(noun in goal for noun in load_task(task).objects.values())
    else:
        foods = [f"the chopped {food}" for food in TASKS[task]]
        goal = f"put {' and '.join(filter(None, (', '.join(foods[:-1]), foods[-1])))} in the bowl and serve the dish"
    assert prompt((home if task in HOUSEHOLD else kitchen)(task=task)).endswith(f"To {goal}, you should first")


def test_the_full_kitchen_in_words():
    env = kitchen(task="tomato_lettuce_salad")
    start = prompt(env)
    assert start.startswith("There are two cutting boards in the room. You see a tomato, a lettuce and an onion on")
    assert "You hold nothing." in start
    assert "bowl" not in start.split("To put")[0]  # out of sight
    assert list(said(env).values()) == [
        *("pick up the tomato", "pick up the lettuce", "pick up the onion", "take the empty bowl"),
        *("walk to the first cutting board", "walk to the second cutting board", "serve nothing", "chop nothing"),
    ]
    filled = (*CHOPPED, "get bowl", "get tomato")
    assert said(env, *filled[:-1])["get bowl"] == "take the empty bowl"
    assert said(env, *filled)["get bowl"] == "take the bowl"
    place = "You stand in front of the first cutting board. A bowl with chopped tomato is in your hand."
    assert place in prompt(env, *filled)
    filled = (*filled, "go to board 1")
    assert "A bowl with chopped tomato is on the first cutting board." in prompt(env, *filled)
    phrase = said(env, *filled, "get lettuce")["go to board 1"]
    assert phrase == "put the lettuce on the first cutting board"  # out of sight: as far as it knows
    phrase = said(env, *filled, "get lettuce", "go to board 1")["go to board 1"]
    assert phrase == "walk to the first cutting board"  # an unchopped lettuce cannot go there


def test_the_small_kitchen_in_words():
    env = kitchen()
    start = ["pick up the tomato", "take the bowl", "walk to the cutting board", "serve nothing", "chop nothing"]
    assert list(said(env).values()) == start
    assert "The unchopped tomato is in your hand." in prompt(env, "get tomato")
    assert said(env, "get tomato")["go to board 1"] == "put the tomato on the cutting board"
    assert said(env, "get tomato")["deliver"] == "serve the dish"
    on_board = prompt(env, *CHOPPED[:2])
    assert "An unchopped tomato is on the cutting board. You stand in front of the cutting board. You hold nothing." in on_board
    assert said(env, *CHOPPED[:2])["chop"] == "chop the tomato"
    assert "A chopped tomato is on the cutting board." in prompt(env, *CHOPPED)
    assert "is on the cutting board" not in prompt(env, *CHOPPED, "get bowl")  # out of sight
    assert "is on the cutting board" in prompt(kitchen(obs_radius=0), *CHOPPED, "get bowl")
    assert said(env, *CHOPPED)["chop"] == "chop nothing"
    assert "An empty bowl is in your hand." in prompt(env, "get bowl")
    assert said(env, "get bowl")["get tomato"] == "put the tomato in the bowl"
    assert said(env, "get bowl")["go to board 1"] == "put the bowl on the cutting board"


def test_food_preparation_in_words():
    env = home()
    goal = "To heat up the pancake in the microwave, you should first"
    prompts = [
        "You are in the kitchen. You hold nothing. You see the pancake and the closed microwave.",
        "You are in the kitchen, next to the pancake. You hold nothing. You also see the closed microwave.",
        "You are in the kitchen. You hold the pancake. You see the closed microwave.",
        "You are in the kitchen, next to the closed microwave. You hold the pancake.",
        "You are in the kitchen, next to the open microwave. You hold the pancake.",
        "You are in the kitchen, next to the pancake in the microwave and the open microwave. You hold nothing.",
    ]
    for count, text in enumerate(prompts):
        assert prompt(env, *FOOD[:count]) == f"{text} {goal}"
    assert prompt(env, "walk to the bathroom") == f"You are in the bathroom. You hold nothing. You see nothing. {goal}"
    assert said(env)["walk to the living room"] == "leave the kitchen for the living room"
    assert said(env)["walk to the microwave"] == "walk to the microwave"
    assert said(env, *FOOD[:2])["walk to the microwave"] == "carry the pancake to the microwave"


def test_entertainment_in_words():
    env = home(task="entertainment")
    assert prompt(env, *FUN[:8]) == (
        "You are in the living room, next to the TV that is off. You hold the milk. "
        f"You also see the chips on the coffee table, the sofa and the coffee table. {WATCH}"
    )
    sitting = "You are sitting on the sofa in the living room. You hold nothing. You see the TV that is off and the coffee table."
    assert prompt(env, "walk to the living room", "walk to the sofa", "sit on the sofa") == f"{sitting} {WATCH}"
    phrases = said(env, *FUN[:5])
    assert phrases["walk to the coffee table"] == "carry the chips and the milk to the coffee table"
    assert phrases["walk to the sofa"] == "walk to the sofa"
    assert phrases["walk to the bathroom"] == "leave the living room for the bathroom"


@pytest.mark.parametrize("task", ["food_preparation", "washing_plate", "entertainment"])
def test_a_households_prompt_tells_as_much_as_the_observation(task):
    """But for what sitting leaves behind, which changes nothing: the seat's mark, and what a standing agent faces."""
    env = home(task=task)
    known, actions = {}, {}
    for state in states(env):
        view = env._automaton.view(state)
        scene = view.prompt.split(" To ")[0]
        for name, noun in env.task.objects.items():
            assert (noun in scene) == (name in env._automaton.home.visible(state))
        sitting = ("character", "SITTING") in state
        bits = [bit for name, bit in zip(env.observation_names, view.obs.tolist(), strict=True)
                if sitting or not name.startswith(("is_sit_", "is_face_"))]  # fmt: skip
        assert known.setdefault(view.prompt, (sitting, bits)) == (sitting, bits)
        assert actions.setdefault(view.prompt, view.action_prompts) == view.action_prompts
    assert len(known) > 15


@cache
def walk(world: str, name: str) -> list[tuple[str, tuple[str, ...]]]:
    """The decisions of one random walk, the same for every prompter."""
    env = make(world, task=LONG[world], prompt=name, max_primitive_steps=10**9)
    _, info = env.reset()
    found, rng = [], np.random.default_rng(3)
    for _ in range(1_000):
        found.append((info["prompt"], info["action_prompts"]))
        *_, terminated, _, info = env.step(info["action_ids"][rng.integers(len(info["action_ids"]))])
        if terminated:
            _, info = env.reset()
    return found


@worlds
@pytest.mark.parametrize("name", ["no_cohesion", "no_context"])
def test_another_ending_and_nothing_else(world, name):
    goal = GOALS[world].removeprefix("To ").removesuffix(", you should first")
    ending = {"no_cohesion": f"Your task is to {goal}.", "no_context": "You should first"}[name]
    for (text, phrases), (whole, whole_phrases) in zip(walk(world, name), walk(world, "default"), strict=True):
        assert text == whole.replace(GOALS[world], ending) != whole
        assert phrases == whole_phrases


@worlds
def test_no_articles_drops_articles_only(world):
    def bare(text):
        return re.sub(r"\b(the|an?) ", "", text, flags=re.IGNORECASE).lower()

    for (text, phrases), (whole, whole_phrases) in zip(walk(world, "no_articles"), walk(world, "default"), strict=True):
        assert text.lower() == bare(whole)
        assert list(phrases) == [
            bare(phrase) if world == "Overcooked" else re.sub(r"\b(the|an?) ", "", phrase) for phrase in whole_phrases
        ]
        assert all(sentence[0].isupper() for sentence in text.split(". "))


@worlds
def test_no_adaptation_fixes_the_action_phrases_only(world):
    found, default = walk(world, "no_adaptation"), walk(world, "default")
    assert [text for text, _ in found] == [text for text, _ in default]
    plain = {phrase for _, phrases in found for phrase in phrases}
    adapted = {phrase.split()[0] for _, phrases in default for phrase in phrases if phrase not in plain}
    assert len(plain) == (8 if world == "Overcooked" else 17)
    assert adapted == ({"put", "chop", "serve", "take"} if world == "Overcooked" else {"leave", "carry"})


@worlds
def test_prompts_are_short_and_named(world):
    assert max(len(re.findall(r"\w+|[^\w\s]", text)) for text, _ in walk(world, "default")) <= 75
    assert set(PROMPTERS) == {"default", "explicit", "no_cohesion", "no_articles", "no_context", "no_adaptation"}
