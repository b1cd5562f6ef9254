"""The prompter `explicit`: its phrases are true, say all that they act on, and depend on what is held and seen alone."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import FOOD, FUN, HOUSEHOLD, home, kitchen, said, states

from twosome.envs.overcooked.env import observe
from twosome.envs.overcooked.kitchen import BOWL, HAND, MAPS, TASKS, make_kitchen
from twosome.envs.overcooked.prompts import PROMPTERS as OVERCOOKED
from twosome.envs.virtualhome.prompts import PROMPTERS as VIRTUALHOME
from twosome.envs.virtualhome.prompts import Situation
from twosome.envs.virtualhome.simulator import held

CHOPPED = ("get tomato", "go to board 1", "chop")
BOTH = (*CHOPPED, "get lettuce", "go to board 2", "chop")
DISH = (*BOTH, "get bowl", "get tomato", "get lettuce")
FULL = tuple(task for task in TASKS if task != "tomato_salad")


@cache
def explicit_kitchen(**options):
    return kitchen(prompt="explicit", **options)


@cache
def explicit_home(task):
    return home(prompt="explicit", task=task)


@pytest.mark.parametrize(
    ("actions", "served"),
    [
        ((), "nothing"),
        (("get tomato",), "the unchopped tomato"),
        ((*CHOPPED, "get tomato"), "the chopped tomato"),
        (("get bowl",), "the empty bowl"),
        ((*CHOPPED, "get bowl", "get tomato"), "the bowl with chopped tomato"),
        (DISH, "the bowl with chopped tomato and chopped lettuce"),
    ],
)
def test_serving_names_what_is_in_the_hand(actions, served):
    assert said(explicit_kitchen(task="tomato_lettuce_salad"), *actions)["deliver"] == f"serve {served}"


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ((), {"get tomato": "pick up the unchopped tomato", "get bowl": "take the bowl"}),  # the bowl is out of sight
        (
            ("get tomato",),
            {
                "get tomato": "keep holding the unchopped tomato",
                "get lettuce": "walk to the unchopped lettuce",  # with a full hand
                "get bowl": "walk to the bowl",  # an unchopped food does not go in
                "go to board 1": "put the unchopped tomato on the first cutting board",
            },
        ),
        (CHOPPED[:2], {"get tomato": "walk to the unchopped tomato", "chop": "chop the tomato"}),
        (CHOPPED, {"get tomato": "pick up the chopped tomato", "get lettuce": "pick up the lettuce", "chop": "chop nothing"}),
        ((*CHOPPED[:2], "get lettuce", "go to board 1"), {"chop": "chop nothing"}),  # with a full hand
        (
            (*CHOPPED[:2], "get bowl", "go to board 1"),
            {"get tomato": "walk to the unchopped tomato", "go to board 1": "walk to the first cutting board"},
        ),
        (
            (*BOTH, "get bowl", "get tomato"),
            {
                "get tomato": "leave the chopped tomato in the bowl",
                "get lettuce": "put the chopped lettuce in the bowl with chopped tomato",
                "get onion": "put the onion in the bowl with chopped tomato",
                "get bowl": "keep holding the bowl with chopped tomato",
                "go to board 1": "put the bowl with chopped tomato on the first cutting board",
                "go to board 2": "put the chopped lettuce from the second cutting board in the bowl with chopped tomato",
            },
        ),
        (
            (*CHOPPED, "get bowl", "go to board 2", "get tomato"),
            {
                "get bowl": "put the chopped tomato in the empty bowl",
                "go to board 1": "put the chopped tomato on the first cutting board",
                "go to board 2": "put the chopped tomato in the empty bowl on the second cutting board",
            },
        ),
        ((*CHOPPED, "get bowl", "get tomato", "go to board 2"), {"get bowl": "take the bowl with chopped tomato"}),
        ((*CHOPPED, "get tomato"), {"get bowl": "put the chopped tomato in the bowl"}),  # the bowl is out of sight
    ],
)
def test_a_macro_action_says_what_would_happen(actions, expected):
    found = said(explicit_kitchen(task="tomato_lettuce_salad"), *actions)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("task", ["tomato_salad", "tomato_lettuce_salad"])
@pytest.mark.parametrize("map_name", MAPS)
def test_where_all_is_seen_a_phrase_is_what_happens(map_name, task):
    env = explicit_kitchen(map=map_name, task=task, obs_radius=0)
    foods = env.kitchen.foods
    found = set()
    for before in states(env):
        for action, phrase in enumerate(env._automaton.view(before).action_prompts):
            after = env.transition(before, action).state
            verb, *rest = phrase.split()
            changed = before.places != after.places or before.chops != after.chops
            assert changed == (verb not in ("walk", "keep", "leave") and rest != ["nothing"]), phrase
            if verb in ("put", "pick", "take"):
                moved = next((word for word in rest if word in (*foods, "bowl")), "")
                moved = "bowl" if "bowl" in rest[:3] else moved
                place = after.places[(*foods, "bowl").index(moved)]
                assert place == (HAND if verb != "put" else BOWL if " in the " in phrase else _board_named(env, phrase)), phrase
            found.add(verb)
    assert found == {"walk", "keep", "leave", "put", "pick", "take", "serve", "chop"}


def _board_named(env, phrase):
    return env.kitchen.boards[1 if "second" in phrase else 0]


@settings(max_examples=60)
@given(st.sampled_from(FULL), st.sampled_from(FULL), st.sampled_from(list(MAPS)), st.integers(0, 3), st.data())
def test_phrases_follow_from_what_is_seen_and_not_from_the_recipe(task, other, map_name, radius, data):
    """What is seen is the symbolic observation without the recipe: what is held or in the bowl has its carrier's position."""
    rooms = [make_kitchen(each, map_name, radius) for each in (task, other)]
    found = {}
    for room in rooms:
        env = explicit_kitchen(task=room.task, map=map_name, obs_radius=radius)
        _, info = env.reset()
        for action in data.draw(st.lists(st.integers(0, 7), max_size=40)):
            state, phrases = info["state"], info["action_prompts"]
            assert found.setdefault(tuple(observe(room, state)[: -len(TASKS)].tolist()), phrases) == phrases
            assert all(OVERCOOKED["explicit"](each, state)[1] == phrases for each in rooms)
            assert OVERCOOKED["explicit"](room, state)[0] == OVERCOOKED["default"](room, state)[0]
            *_, terminated, truncated, info = env.step(action)
            if terminated or truncated:
                break


@pytest.mark.parametrize(
    ("task", "prompts", "default", "explicit"), [("tomato_salad", 21, 21, 21), ("tomato_lettuce_salad", 787, 802, 787)]
)
def test_distinct_decisions_of_all_reachable_states(task, prompts, default, explicit):
    """Explicit's phrases follow from the prompt; default also calls a bowl out of sight empty or not."""
    env = explicit_kitchen(task=task)
    decisions = {name: {OVERCOOKED[name](env.kitchen, state) for state in states(env)} for name in ("default", "explicit")}
    assert {len({prompt for prompt, _ in each}) for each in decisions.values()} == {prompts}
    assert {name: len(each) for name, each in decisions.items()} == {"default": default, "explicit": explicit}


def test_household_phrases_name_what_is_held_and_seen():
    phrases = said(explicit_home("food_preparation"))
    assert phrases["walk to the living room"] == "leave the kitchen for the living room"
    assert phrases["walk to the microwave"] == "walk to the closed microwave"
    phrases = said(explicit_home("food_preparation"), *FOOD[:2])
    assert phrases["walk to the living room"] == "leave the kitchen for the living room with the pancake"
    assert phrases["walk to the microwave"] == "carry the pancake to the closed microwave"
    phrases = said(explicit_home("food_preparation"), *FOOD[:4])
    assert phrases["put the pancake in the microwave"] == "put the pancake in the microwave"
    assert phrases["close the microwave"] == "close the microwave with nothing inside"
    phrases = said(explicit_home("food_preparation"), *FOOD[:5])
    assert phrases["grab the pancake"] == "grab the pancake from the microwave"
    assert phrases["close the microwave"] == "close the microwave with the pancake inside"
    phrases = said(explicit_home("entertainment"), *FUN[:-1])
    assert phrases["walk to the chips"] == "carry the milk to the chips on the coffee table"
    assert phrases["sit on the sofa"] == "sit on the sofa with the milk, facing the TV that is on"
    phrases = said(explicit_home("entertainment"), "walk to the living room", "walk to the sofa")
    assert phrases["sit on the sofa"] == "sit on the sofa with empty hands, facing the TV that is off"
    phrases = said(explicit_home("entertainment"), *FUN[:2], "walk to the living room", "walk to the sofa", "sit on the sofa")
    assert phrases["stand up from the sofa"] == "stand up from the sofa with the chips"


@pytest.mark.parametrize("task", HOUSEHOLD)
def test_household_phrases_in_every_state(task):
    env = explicit_home(task)
    differ = {"walk", "leave", "carry", "grab", "close", "sit", "stand"}
    for state in states(env):
        seen = env._automaton.seen(state)
        actions = tuple(env.task.actions[number] for number in env.admissible(state))
        prompt, phrases = VIRTUALHOME["explicit"](Situation(env.task, seen, actions))
        whole, adapted = VIRTUALHOME["default"](Situation(env.task, seen, actions))
        assert prompt == whole
        assert len(phrases) == len(set(phrases)) == len(adapted)
        for action, phrase, other in zip(actions, phrases, adapted, strict=True):
            assert phrase == other or phrase.split()[0] in differ
            if action.script[0] == "WALK":
                assert all(env.task.objects[name] in phrase for name in held(state))
            if action.script[0] == "CLOSE":
                assert ("nothing inside" in phrase) == (not any(fact[1:] == ("INSIDE", action.script[1]) for fact in state))
        aimless = env.task._replace(goal="sing", success=())
        assert VIRTUALHOME["explicit"](Situation(aimless, seen, actions))[1] == phrases
