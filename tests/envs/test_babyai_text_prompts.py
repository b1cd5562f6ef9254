"""The wordings: GLAM's generalisation tests as data, and French."""

import pytest
from babyai_text_tools import make

from twosome.envs.babyai_text.language import FRENCH
from twosome.envs.babyai_text.prompts import PROMPTERS

ACTIONS = ("turn left", "turn right", "go forward", "pick up", "drop", "toggle", "sleep", "do nothing", "think")


def decision(prompt, **options):
    """The words of the second decision of an episode, after an action that changes nothing to see."""
    env = make(task="pick_up_go_to", prompt=prompt, num_actions=9, **options)
    env.reset(seed=4)
    return env.step(8)[4]


@pytest.mark.parametrize("name", PROMPTERS)
def test_replacements_do_not_depend_on_their_order(name):
    replace = PROMPTERS[name].replace
    for word, other in replace.items():
        assert not any(each in other for each in replace if each != word), name
        assert word not in other


@pytest.mark.parametrize("name", [name for name, wording in PROMPTERS.items() if wording.replace])
def test_exchanged_words_are_gone_and_actions_stay(name):
    default, found = decision("default"), decision(name)
    expected = default["prompt"]
    for word, other in PROMPTERS[name].replace.items():
        expected = expected.replace(word, other)
        assert word not in found["prompt"]
    assert found["prompt"] == expected != default["prompt"]
    assert found["action_prompts"] == default["action_prompts"] == ACTIONS
    assert found["descriptions"] == default["descriptions"]


def test_synonyms_of_actions_stand_in_the_list_the_history_and_the_action_prompts():
    env = make(task="go_to", prompt="other_action_synonyms", num_actions=9)
    env.reset(seed=0)
    info = env.step(2)[4]
    words = ("shift left", "shift right", "go ahead", "take", "release", "turn", *ACTIONS[6:])
    assert info["action_prompts"] == words
    assert info["prompt"].startswith(f"Possible action of the agent: {', '.join(words)} \n Goal")
    assert " \n Action 0: go ahead \n Observation 1" in info["prompt"]


def test_synonyms_of_actions_that_are_not_offered_are_left_out():
    _, info = make(task="go_to", prompt="action_synonyms", num_actions=3).reset(seed=0)
    assert info["action_prompts"] == ("rotate left", "rotate right", "move ahead")


@pytest.mark.parametrize(
    ("mission", "goal"),
    [
        ("go to the blue key", "aller à la clef bleue"),
        ("go to a grey box", "aller à une boîte grise"),
        ("go to the red ball", "aller à une balle rouge"),  # the reference looks for any letter a
    ],
)
def test_the_article_of_a_french_goal(mission, goal):
    assert FRENCH.goal(mission) == goal


def test_french_doors_and_what_is_carried():
    """Which the recorded French level has not, and has seldom."""
    assert FRENCH.thing("door", "red", "locked", -2, 1) == "Tu vois une porte rouge fermée à clef 2 pas à gauche et 1 pas devant"
    assert FRENCH.carry("ball", "green") == "Tu portes une ball green"
    assert FRENCH.wall(3, 0) == "Tu vois un mur à 3 pas à droite"
