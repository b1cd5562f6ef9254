"""The bundled texts: enough, varied, readable, and no answer given away by its place or its length."""

import re
from collections import Counter
from pathlib import Path

import pytest

from twosome.evaluation.retention.drift import DATA, prose, questions


def share_right(pick):
    """How often a rule that knows only the options' lengths is right; ties are guessed."""
    shares = []
    for question in questions():
        lengths = [len(option) for option in question["options"]]
        chosen = [index for index, length in enumerate(lengths) if length == pick(lengths)]
        shares.append((question["answer"] in chosen) / len(chosen))
    return sum(shares) / len(shares)


def test_questions_are_many_well_formed_and_of_each_category_as_many():
    every = questions()
    counts = Counter(question["category"] for question in every)
    assert set(counts) == {"common_sense", "science", "physics", "words"}
    assert len(set(counts.values())) == 1
    assert len({question["question"] for question in every}) == len(every) >= 150
    for question in every:
        options = question["options"]
        assert len(options) == len(set(options)) == 4, question
        assert question["answer"] in range(4)
        assert all(text == text.strip() != "" for text in (question["question"], *options))
        assert len({option.endswith(".") for option in options}) == 1, question  # all sentences, or none


def test_the_place_of_the_right_answer_says_nothing():
    for category in ("common_sense", "science", "physics", "words"):
        places = Counter(question["answer"] for question in questions() if question["category"] == category)
        assert max(places.values()) - min(places.values()) <= 1


@pytest.mark.parametrize("pick", [max, min, lambda lengths: sorted(lengths)[1], lambda lengths: sorted(lengths)[2]])
def test_the_length_of_the_right_answer_says_nothing(pick):
    assert 0.17 <= share_right(pick) <= 0.33  # 0.25 by guessing, standard error 0.034


@pytest.mark.parametrize("world", ["salad", "lettuce", "cutting board", "pancake", "microwave", "kitchen", "fridge"])
def test_texts_are_about_no_environment(world):
    every = [*prose().values(), *map(str, questions())]
    assert not [text for text in every if re.search(rf"\b{world}\b", text, re.IGNORECASE)]


def test_a_limit_spreads_over_all_and_the_files_are_plain():
    assert len({question["category"] for question in questions(4)}) == 4
    assert list(prose(2)) == list(prose())[::11]
    assert questions(10_000) == questions()
    assert all(file.read_bytes().isascii() and file.read_text().endswith("\n") for file in Path(str(DATA)).rglob("*.*"))
