"""The bundled texts: enough, varied, readable, and no answer given away by its place or its length."""

import json
import re
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest
from checkout import ROOT

from twosome.evaluation.retention import texts

FOLDER = Path(str(texts.DATA))


def share_right(pick):
    """How often a rule that knows only the options' lengths is right; ties are guessed."""
    shares = []
    for question in texts.questions():
        lengths = [len(option) for option in question.options]
        chosen = [index for index, length in enumerate(lengths) if length == pick(lengths)]
        shares.append((question.answer in chosen) / len(chosen))
    return sum(shares) / len(shares)


def test_questions_are_many_and_of_each_category_as_many():
    counts = Counter(question.category for question in texts.questions())
    assert set(counts) == {"common_sense", "science", "physics", "words"}
    assert sum(counts.values()) >= 150
    assert len(set(counts.values())) == 1


def test_questions_are_well_formed():
    questions = texts.questions()
    assert len({question.question for question in questions}) == len(questions)
    for question in questions:
        assert len(question.options) == len(set(question.options)) == 4, question
        assert question.answer in range(4)
        assert question.question == question.question.strip()
        assert all(option == option.strip() != "" for option in question.options)
        form = {option.endswith(".") for option in question.options}
        assert len(form) == 1, question  # all sentences, or none


def test_the_place_of_the_right_answer_says_nothing():
    for category in ("common_sense", "science", "physics", "words"):
        places = Counter(question.answer for question in texts.questions() if question.category == category)
        assert max(places.values()) - min(places.values()) <= 1


@pytest.mark.parametrize("pick", [max, min, lambda lengths: sorted(lengths)[1], lambda lengths: sorted(lengths)[2]])
def test_the_length_of_the_right_answer_says_nothing(pick):
    assert 0.17 <= share_right(pick) <= 0.33  # 0.25 by guessing, standard error 0.034


def test_prose_is_long_varied_and_not_repeated():
    pieces = texts.prose()
    assert len({name.split("_")[0] for name in pieces}) >= 12
    assert sum(len(piece.split()) for piece in pieces.values()) >= 5_000
    assert min(len(piece.split()) for piece in pieces.values()) > 200
    every = [sentence for piece in pieces.values() for sentence in re.split(r"(?<=[.?!])\s+", piece) if len(sentence) > 30]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("world", ["salad", "lettuce", "cutting board", "pancake", "microwave", "kitchen", "fridge"])
def test_texts_are_about_no_environment(world):
    every = [*texts.prose().values(), *map(str, texts.questions())]
    assert not [text for text in every if re.search(rf"\b{world}\b", text, re.IGNORECASE)]


def test_a_limit_spreads_over_all():
    assert len({question.category for question in texts.questions(4)}) == 4
    assert list(texts.prose(2)) == list(texts.prose())[::11]
    assert texts.questions(10_000) == texts.questions()


def test_the_files_are_plain_and_packaged():
    patterns = re.search(r'"twosome.evaluation.retention" = (\[.*\])', (ROOT / "pyproject.toml").read_text())
    assert patterns
    for file in FOLDER.rglob("*.*"):
        name = file.relative_to(FOLDER.parent).as_posix()
        assert any(fnmatch(name, pattern) for pattern in json.loads(patterns[1])), name
        assert file.read_bytes().isascii()
        assert file.read_text().endswith("\n")
