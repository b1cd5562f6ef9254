"""Normalisations: the three of the suite, and what one of the user's own may give."""

import numpy as np
import pytest
from scoring_tools import scorer

from twosome.errors import UserError
from twosome.language import norms
from twosome.language.scorer import Scorer

ENGINE = scorer()
TEXT = ("You should", ("take the bowl", "go"))


@pytest.mark.parametrize("norm", [norms.none, norms.token, norms.word, lambda action, tokens: np.float32(3), lambda *_: 3])
def test_a_score_is_the_log_probability_over_the_divisor(norm):
    found = Scorer(ENGINE.lm, norm).score([TEXT])
    tokens = [len(action) for action in ENGINE.tokenize([TEXT])[0].actions]
    expected = [
        logprob / norm(action, number) for logprob, action, number in zip(found.logprobs[0], TEXT[1], tokens, strict=True)
    ]
    assert found.scores[0].tolist() == pytest.approx([float(each) for each in expected])


def test_divisors():
    assert [norm("take the bowl", 5) for norm in (norms.none, norms.token, norms.word)] == [1.0, 5.0, 3.0]


@pytest.mark.parametrize("value", [0, -1.5, 1e-9, float("nan"), float("inf")])
def test_what_nothing_can_be_divided_by(value):
    with pytest.raises(
        UserError, match=rf"norm: it gave {float(value)} for the action 'take the bowl' of \d+ tokens, expected a"
    ):
        Scorer(ENGINE.lm, lambda action, tokens: value).score([TEXT])
