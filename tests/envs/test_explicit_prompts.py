"""The prompter `explicit`: its phrases are true, say all that they act on, and depend on what is held and seen alone."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from overcooked_tools import make as kitchen_env
from overcooked_tools import names
from overcooked_tools import play as cook
from virtualhome_tools import FOOD, FUN, states
from virtualhome_tools import TASKS as HOUSEHOLD
from virtualhome_tools import make as home_env
from virtualhome_tools import phrases as plain_phrases
from virtualhome_tools import play as keep_house

from twosome.envs.overcooked.automaton import observe
from twosome.envs.overcooked.kitchen import BOWL, HAND, TASKS, State, make_kitchen
from twosome.envs.overcooked.maps import MAPS
from twosome.envs.overcooked.prompts import PROMPTERS as OVERCOOKED
from twosome.envs.virtualhome.prompts import PROMPTERS as VIRTUALHOME
from twosome.envs.virtualhome.prompts import Situation
from twosome.envs.virtualhome.simulator import held

CHOPPED = ("get tomato", "go to board 1", "chop")
BOTH = (*CHOPPED, "get lettuce", "go to board 2", "chop")
DISH = (*BOTH, "get bowl", "get tomato", "get lettuce")
FULL = tuple(task for task in TASKS if task != "tomato_salad")
LIKE_FOOD = tuple(task for task in HOUSEHOLD if task != "entertainment")


@cache
def kitchen(**options):
    return kitchen_env(prompt="explicit", **options)


@cache
def home(task):
    return home_env(prompt="explicit", task=task)


def cooked(actions, **options):
    """The phrases by macro-action, after some macro-actions."""
    env = kitchen(**options)
    return dict(zip(names(env), cook(env, *actions)["action_prompts"], strict=True))


def kept(task, *actions):
    """The phrases by the task's own, after some actions."""
    env = home(task)
    info = keep_house(env, *actions)
    return dict(zip((plain_phrases(env)[number] for number in info["action_ids"]), info["action_prompts"], strict=True))


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
    assert cooked(actions, task="tomato_lettuce_salad")["deliver"] == f"serve {served}"


@pytest.mark.parametrize(
    ("actions", "said"),
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
def test_a_macro_action_says_what_would_happen(actions, said):
    found = cooked(actions, task="tomato_lettuce_salad")
    assert {name: found[name] for name in said} == said


@pytest.mark.parametrize("task", ["tomato_salad", "tomato_lettuce_salad"])
@pytest.mark.parametrize("map_name", MAPS)
def test_where_all_is_seen_a_phrase_is_what_happens(map_name, task):
    env = kitchen(map=map_name, task=task, obs_radius=0)
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


def held_and_seen(task: str, map_name: str, radius: int, state: State) -> tuple[float, ...]:
    """The symbolic observation, without the recipe: what is in the hand or the bowl has its carrier's position."""
    return tuple(observe(make_kitchen(task, map_name, radius), state)[: -len(TASKS)].tolist())


@settings(max_examples=60)
@given(
    st.sampled_from(FULL), st.sampled_from(FULL), st.sampled_from(list(MAPS)), st.integers(0, 3), st.data()
)  # fmt: skip
def test_the_recipe_is_not_in_the_phrases(task, other, map_name, radius, data):
    env, default = kitchen(task=task, map=map_name, obs_radius=radius), kitchen_env(task=task, map=map_name, obs_radius=radius)
    said = {}
    for each in (env, kitchen(task=other, map=map_name, obs_radius=radius)):
        _, info = each.reset()
        for action in data.draw(st.lists(st.integers(0, 7), max_size=40)):
            state, phrases = info["state"], info["action_prompts"]
            assert said.setdefault(held_and_seen(task, map_name, radius, state), phrases) == phrases
            assert OVERCOOKED["explicit"](make_kitchen(other, map_name, radius), state)[1] == phrases
            assert OVERCOOKED["explicit"](make_kitchen(task, map_name, radius), state)[1] == phrases
            assert OVERCOOKED["explicit"](default.kitchen, state)[0] == OVERCOOKED["default"](default.kitchen, state)[0]
            *_, terminated, truncated, info = each.step(action)
            if terminated or truncated:
                break


@pytest.mark.parametrize(
    ("task", "prompts", "default", "explicit"), [("tomato_salad", 21, 21, 21), ("tomato_lettuce_salad", 787, 802, 787)]
)
def test_distinct_decisions_of_all_reachable_states(task, prompts, default, explicit):
    """Explicit's phrases follow from the prompt; default also calls a bowl out of sight empty or not."""
    env = kitchen(task=task)
    decisions = {name: {OVERCOOKED[name](env.kitchen, state) for state in states(env)} for name in ("default", "explicit")}
    assert {len({prompt for prompt, _ in each}) for each in decisions.values()} == {prompts}
    assert {name: len(each) for name, each in decisions.items()} == {"default": default, "explicit": explicit}


def test_household_phrases_name_what_is_held_and_seen():
    said = kept("food_preparation")
    assert said["walk to the living room"] == "leave the kitchen for the living room"
    assert said["walk to the microwave"] == "walk to the closed microwave"
    said = kept("food_preparation", *FOOD[:2])
    assert said["walk to the living room"] == "leave the kitchen for the living room with the pancake"
    assert said["walk to the microwave"] == "carry the pancake to the closed microwave"
    said = kept("food_preparation", *FOOD[:4])
    assert said["put the pancake in the microwave"] == "put the pancake in the microwave"
    assert said["close the microwave"] == "close the microwave with nothing inside"
    said = kept("food_preparation", *FOOD[:5])
    assert said["grab the pancake"] == "grab the pancake from the microwave"
    assert said["close the microwave"] == "close the microwave with the pancake inside"
    said = kept("entertainment", *FUN[:-1])
    assert said["walk to the chips"] == "carry the milk to the chips on the coffee table"
    assert said["sit on the sofa"] == "sit on the sofa with the milk, facing the TV that is on"
    said = kept("entertainment", "walk to the living room", "walk to the sofa")
    assert said["sit on the sofa"] == "sit on the sofa with empty hands, facing the TV that is off"
    said = kept("entertainment", *FUN[:2], "walk to the living room", "walk to the sofa", "sit on the sofa")
    assert said["stand up from the sofa"] == "stand up from the sofa with the chips"


@pytest.mark.parametrize("task", HOUSEHOLD)
def test_household_phrases_in_every_state(task):
    env = home(task)
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


@given(st.sampled_from(LIKE_FOOD), st.sampled_from(LIKE_FOOD), st.data())
def test_tasks_differ_in_their_nouns_alone(task, other, data):
    infos = [home(name).reset()[1] for name in (task, other)]
    nouns = [tuple(home(name).task.objects.values()) for name in (task, other)]
    for action in data.draw(st.lists(st.integers(0, 9), max_size=40)):
        assert infos[0]["action_ids"] == infos[1]["action_ids"]
        first, second = (
            [phrase.replace(thing, "THING").replace(machine, "MACHINE") for phrase in info["action_prompts"]]
            for info, (thing, machine) in zip(infos, nouns, strict=True)
        )
        assert first == second
        results = [home(name).step(action) for name in (task, other)[: 1 if task == other else 2]]
        infos = [result[-1] for result in (results * 2)[:2]]
        if results[0][2]:
            break


@given(st.sampled_from([("overcooked", task) for task in TASKS] + [("virtualhome", task) for task in HOUSEHOLD]), st.data())
def test_a_decision_has_as_many_actions_in_the_same_order_as_by_default(world, data):
    make, task = (kitchen_env if world[0] == "overcooked" else home_env), world[1]
    pair = (make(task=task), make(task=task, prompt="explicit"))
    default, explicit = (env.reset()[1] for env in pair)
    for choice in data.draw(st.lists(st.integers(0, 99), max_size=25)):
        assert default["prompt"] == explicit["prompt"]
        assert default["action_ids"] == explicit["action_ids"]
        assert len(explicit["action_prompts"]) == len(set(explicit["action_prompts"])) == len(default["action_prompts"])
        action = explicit["action_ids"][choice % len(explicit["action_ids"])]
        ((*_, ended, cut, default), (*_, explicit)) = (env.step(action) for env in pair)
        if ended or cut:
            break
