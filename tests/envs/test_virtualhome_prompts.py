"""What the prompts say, and what each dropped principle takes away."""

import re

import numpy as np
import pytest
from virtualhome_tools import FOOD, FUN, TASKS, make, phrases, play, states

from twosome.envs.virtualhome.prompts import PROMPTERS, Situation
from twosome.envs.virtualhome.task import load_task

GOAL = "To watch TV on the sofa with the chips and the milk, you should first"


def words(env, *actions):
    """Prompt, and action prompts by the actions' plain words, after some actions."""
    info = play(env, *actions)
    plain = (phrases(env)[action] for action in info["action_ids"])
    return info["prompt"], dict(zip(plain, info["action_prompts"], strict=True))


def nothing_but(situation: Situation) -> tuple[str, tuple[str, ...]]:
    """A prompter for the tests."""
    return f"In the {situation.room}", ("go",) * len(situation.actions)


def too_few(situation: Situation) -> tuple[str, tuple[str, ...]]:
    """A prompter that is wrong."""
    return "Where?", ("go",)


@pytest.mark.parametrize("task", TASKS)
def test_default_names_goal_and_links_to_the_action(task):
    prompt, _ = words(make(task=task))
    assert prompt.endswith(f"To {load_task(task).goal}, you should first")
    assert any(noun in load_task(task).goal for noun in load_task(task).objects.values())


def test_food_preparation_in_words():
    env = make()
    goal = "To heat up the pancake in the microwave, you should first"
    prompts = [
        "You are in the kitchen. You hold nothing. You see the pancake and the closed microwave.",
        "You are in the kitchen, next to the pancake. You hold nothing. You also see the closed microwave.",
        "You are in the kitchen. You hold the pancake. You see the closed microwave.",
        "You are in the kitchen, next to the closed microwave. You hold the pancake.",
        "You are in the kitchen, next to the open microwave. You hold the pancake.",
        "You are in the kitchen, next to the pancake in the microwave and the open microwave. You hold nothing.",
    ]
    for count, prompt in enumerate(prompts):
        assert words(env, *FOOD[:count])[0] == f"{prompt} {goal}"
    assert words(env, "walk to the bathroom")[0] == f"You are in the bathroom. You hold nothing. You see nothing. {goal}"


def test_entertainment_in_words():
    env = make(task="entertainment")
    assert words(env)[0] == f"You are in the kitchen. You hold nothing. You see the chips and the milk. {GOAL}"
    assert words(env, *FUN[:8])[0] == (
        "You are in the living room, next to the TV that is off. You hold the milk. "
        f"You also see the chips on the coffee table, the sofa and the coffee table. {GOAL}"
    )
    assert words(env, "walk to the living room", "walk to the sofa", "sit on the sofa")[0] == (
        "You are sitting on the sofa in the living room. You hold nothing. "
        f"You see the TV that is off and the coffee table. {GOAL}"
    )


def test_phrases_follow_the_state():
    _, said = words(make())
    assert said["walk to the living room"] == "leave the kitchen for the living room"
    assert said["walk to the microwave"] == "walk to the microwave"
    _, said = words(make(), *FOOD[:2])
    assert said["walk to the microwave"] == "carry the pancake to the microwave"
    _, said = words(make(task="entertainment"), *FUN[:5])
    assert said["walk to the coffee table"] == "carry the chips and the milk to the coffee table"
    assert said["walk to the sofa"] == "walk to the sofa"
    assert said["walk to the bathroom"] == "leave the living room for the bathroom"


@pytest.mark.parametrize("task", ["food_preparation", "laundry", "entertainment"])
def test_only_what_is_in_sight_is_described_and_all_of_it(task):
    env = make(task=task)
    for state in states(env):
        scene = env._automaton.view(state).prompt.split(" To ")[0]
        for name, noun in env.task.objects.items():
            assert (noun in scene) == (name in env._automaton.home.visible(state))


@pytest.mark.parametrize("task", ["food_preparation", "washing_plate", "entertainment"])
def test_a_prompt_tells_as_much_as_the_observation(task):
    """But for what sitting leaves behind, which changes nothing: the seat's mark, and what a standing agent faces."""
    env = make(task=task)
    known, actions = {}, {}
    for state in states(env):
        view = env._automaton.view(state)
        sitting = ("character", "SITTING") in state
        bits = [bit for name, bit in zip(env.observation_names, view.obs.tolist(), strict=True)
                if sitting or not name.startswith(("is_sit_", "is_face_"))]  # fmt: skip
        assert known.setdefault(view.prompt, (sitting, bits)) == (sitting, bits)
        assert actions.setdefault(view.prompt, view.action_prompts) == view.action_prompts
    assert len(known) > 15


@pytest.mark.parametrize(("task", "actions"), [("food_preparation", FOOD), ("entertainment", FUN)])
def test_a_shortest_way_can_be_gone_without_memory(task, actions):
    """No decision of it comes twice, so a policy that knows the prompt alone can be optimal."""
    env = make(task=task)
    prompts = [words(env, *actions[:count])[0] for count in range(len(actions))]
    assert len(set(prompts)) == len(prompts)


def walk(prompt: str) -> list[tuple[str, tuple[str, ...]]]:
    """The decisions of one random walk, the same for every prompter."""
    env = make(task="entertainment", prompt=prompt, max_primitive_steps=10**9)
    _, info = env.reset()
    found, rng = [], np.random.default_rng(3)
    for _ in range(1_000):
        found.append((info["prompt"], info["action_prompts"]))
        *_, terminated, _, info = env.step(info["action_ids"][rng.integers(len(info["action_ids"]))])
        if terminated:
            _, info = env.reset()
    return found


@pytest.fixture(scope="module")
def default():
    return walk("default")


def test_no_cohesion_drops_the_linking_phrase_only(default):
    for (prompt, said), (whole, whole_said) in zip(walk("no_cohesion"), default, strict=True):
        assert prompt == whole.replace(GOAL, "Your task is to watch TV on the sofa with the chips and the milk.")
        assert said == whole_said


def test_no_articles_drops_articles_only(default):
    def bare(text):
        return re.sub(r"\b(the|an?) ", "", text, flags=re.IGNORECASE)

    for (prompt, said), (whole, whole_said) in zip(walk("no_articles"), default, strict=True):
        assert not re.search(r"\b(the|an?)\b", " ".join((prompt, *said)), flags=re.IGNORECASE)
        assert prompt == bare(whole)
        assert list(said) == [bare(phrase) for phrase in whole_said]


def test_no_context_drops_the_goal_only(default):
    for (prompt, said), (whole, whole_said) in zip(walk("no_context"), default, strict=True):
        assert prompt == whole.replace(GOAL, "You should first")
        assert said == whole_said


def test_no_adaptation_fixes_the_action_phrases_only(default):
    found = walk("no_adaptation")
    assert [prompt for prompt, _ in found] == [prompt for prompt, _ in default]
    plain = {action.phrase for action in load_task("entertainment").actions}
    assert {phrase for _, said in found for phrase in said} == plain
    adapted = {phrase for _, said in default for phrase in said} - plain
    assert {phrase.split()[0] for phrase in adapted} == {"leave", "carry"}


def test_prompts_are_short(default):
    assert max(len(re.findall(r"\w+|[^\w\s]", prompt)) for prompt, _ in default) <= 75


def test_a_prompter_can_be_a_function_or_its_path():
    for prompt in (nothing_but, f"{__name__}:nothing_but"):
        assert play(make(prompt=prompt), "walk to the bedroom")["prompt"] == "In the bedroom"
    assert set(PROMPTERS) == {"default", "explicit", "no_cohesion", "no_articles", "no_context", "no_adaptation"}


def test_a_prompter_with_the_wrong_number_of_phrases_is_refused():
    with pytest.raises(ValueError, match="expected 5 action prompts"):
        make(prompt=too_few).reset()
