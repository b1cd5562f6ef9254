"""Whatever happens in any environment, in any task and wording of it: what a language model gets to read is well-formed."""

import re
from functools import cache

import gymnasium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twosome.envs  # noqa: F401 - registers the environments
from twosome.envs.babyai_text.prompts import PROMPTERS as BABYAI_TEXT
from twosome.envs.overcooked.prompts import PROMPTERS as OVERCOOKED
from twosome.envs.virtualhome.prompts import PROMPTERS as VIRTUALHOME
from twosome.language import tiny
from twosome.language.tokens import DecisionTokenizer

LINES = {name: BABYAI_TEXT[name] for name in ("default", "invented_words", "action_synonyms")}  # the others exchange words, too
PROMPTERS = {"twosome/BabyAIText-v0": LINES, "twosome/Overcooked-v0": OVERCOOKED, "twosome/VirtualHome-v0": VIRTUALHOME}
FRENCH = ("twosome/BabyAIText-v0", "go_to_french")
"""A task that has the prompter "default" only."""
WORDINGS = [(name, prompt) for name, prompters in PROMPTERS.items() for prompt in prompters]


def test_every_environment_of_the_suite_is_here() -> None:
    assert set(PROMPTERS) == {name for name in gymnasium.registry if name.startswith("twosome/")}


@cache
def made(name: str, task: str | None, prompt: str) -> gymnasium.Env:
    return gymnasium.make(name, prompt=prompt, **({"task": task} if task else {}))


@cache
def tasks(name: str, prompt: str) -> tuple[str, ...]:
    return tuple(task for task in made(name, None, "default").unwrapped.tasks if prompt == "default" or (name, task) != FRENCH)


@cache
def tokenizer(architecture: str) -> DecisionTokenizer:
    return DecisionTokenizer(tiny.build_tokenizer(architecture), tiny.POSITIONS)


def check(info: dict) -> None:
    """One decision's words."""
    prompt, actions = info["prompt"], info["action_prompts"]
    assert len(actions) == len(info["action_ids"]) > 0
    assert len(set(info["action_ids"])) == len(actions)
    assert len(set(actions)) == len(actions), actions  # otherwise no policy could tell them apart
    for text in (prompt.replace(" \n ", " "), *actions):  # BabyAI-Text's prompts have lines
        assert text == text.strip() != ""
        assert text.isprintable()
        assert "  " not in text
        assert not re.search(r" [.,]|\.\.|,,|\bNone\b|[{}<>_]", text), text
    assert prompt[0].isupper()
    assert all(action[0].islower() and action[-1].isalpha() for action in actions), actions
    for architecture in ("llama", "gpt2"):
        (tokens,) = tokenizer(architecture)([(prompt, actions)])  # raises where the border between the two merges
        assert len(set(tokens.actions)) == len(actions)


@pytest.mark.parametrize(("name", "prompt"), WORDINGS)
@settings(max_examples=25)
@given(data=st.data())
def test_any_walk_is_well_worded(name: str, prompt: str, data: st.DataObject) -> None:
    env = made(name, data.draw(st.sampled_from(tasks(name, prompt))), prompt)
    _, info = env.reset(seed=data.draw(st.integers(0, 2**32 - 1)))
    check(info)
    for choice in data.draw(st.lists(st.integers(0, 99), max_size=25)):
        *_, terminated, truncated, info = env.step(info["action_ids"][choice % len(info["action_ids"])])
        check(info)
        if terminated or truncated:
            break
