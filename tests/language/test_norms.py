"""Normalisations: what one of the user's own gives or raises that nothing can be divided by is one line."""

from functools import partial

import numpy as np
import pytest
from omegaconf import OmegaConf
from scoring_tools import DECISIONS, scorer

from twosome import parts
from twosome.errors import UserError
from twosome.language import norms, oracle
from twosome.language.scorer import Scorer

ENGINE = scorer()
TEXT = ("You should", ("take the bowl", "go"))
NUMBER = "expected a number from 0.0001 to 1e+30"
SIGNATURE = "expected a function of an action prompt and its number of tokens"


def giving(value):
    """A norm that gives the value, and where it is an error raises it, for an action of more than one word."""

    def norm(action_prompt, num_tokens):
        if " " not in action_prompt:
            return 1.0
        if isinstance(value, BaseException):
            raise value
        return value

    return norm


GIVEN = {
    "0": 0, "-1.5": -1.5, "1e-09": 1e-9, "1e+39": 1e39, "nan": float("nan"), "inf": float("inf"), "-inf": -float("inf"),
    "'three'": "three", "None": None, "True": True, "[1.0]": [1.0], "(2+0j)": 2 + 0j, "array([1.])": np.ones(1),
}  # fmt: skip
RAISED = {
    "KeyError ('take the bowl')": KeyError("take the bowl"),
    "SystemExit (0)": SystemExit(0),
    "ZeroDivisionError (division by zero)": ZeroDivisionError("division\nby zero"),
}


def score(engine):
    return engine.score([TEXT])


def score_plainly(engine):
    return oracle.score(engine, [TEXT])


def said(norm, act):
    tokens = len(ENGINE.tokenize([TEXT])[0].actions[0])
    with pytest.raises(UserError) as caught:
        act(Scorer(ENGINE.lm, norm))
    name = "norm._target_=test_norms.giving.<locals>.norm: it "
    line, where = str(caught.value), f"for the action 'take the bowl' of {tokens} tokens"
    assert line.startswith(name)
    assert where in line
    return line.removeprefix(name).replace(where, "WHERE")


@pytest.mark.parametrize("act", [score, score_plainly])
@pytest.mark.parametrize("shown", GIVEN)
def test_what_nothing_can_be_divided_by(shown, act):
    assert said(giving(GIVEN[shown]), act) == f"gave {shown} WHERE, {NUMBER}"


@pytest.mark.parametrize("shown", RAISED)
def test_a_norm_that_raises(shown):
    line = said(giving(RAISED[shown]), score)
    assert line.startswith(f"raised {shown} at test_norms.py:")
    assert line.endswith("WHERE; HYDRA_FULL_ERROR=1 shows the traceback")


def test_ctrl_c_is_not_the_norms():
    with pytest.raises(KeyboardInterrupt):
        score(Scorer(ENGINE.lm, giving(KeyboardInterrupt())))


@pytest.mark.parametrize("value", [3, np.float32(3), np.int64(3)])
def test_any_kind_of_number_divides(value):
    found = score(Scorer(ENGINE.lm, giving(value)))
    assert (found.scores[0, 0] * 3).item() == pytest.approx(found.logprobs[0, 0].item())


def test_an_action_is_asked_about_once():
    asked = []

    def norm(action_prompt, num_tokens):
        asked.append((action_prompt, num_tokens))
        return 1.0

    engine = Scorer(ENGINE.lm, norm)
    for _ in range(2):
        engine.score(DECISIONS)
    pairs = [pair for (_, prompts), each in zip(DECISIONS, engine.tokenize(DECISIONS), strict=True)
             for pair in zip(prompts, map(len, each.actions), strict=True)]  # fmt: skip
    assert sorted(asked) == sorted(set(pairs))


class Characters:
    """An object of it is a norm."""

    def __call__(self, action_prompt, num_tokens):
        return float(len(action_prompt))


def of_words(action_prompt):
    return 1.0


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        (of_words, f"norm._target_=test_norms.of_words: too many positional arguments; {SIGNATURE}"),
        (partial(of_words), f"norm._target_=test_norms.of_words: too many positional arguments; {SIGNATURE}"),
        (3.0, f"norm=3.0: {SIGNATURE}, named by norm._target_"),
        (partial(Characters), f"norm._target_=test_norms.Characters: it is a class, {SIGNATURE}; _partial_: false in conf/norm "
         "makes an object of it"),
    ],
)  # fmt: skip
def test_what_cannot_be_called_as_a_norm(norm, expected):
    with pytest.raises(UserError) as caught:
        norms.check_norm(norm)
    assert str(caught.value) == expected


@pytest.mark.parametrize("norm", [norms.word, partial(norms.word), Characters(), max, lambda *both: 1.0])
def test_what_can_be_called_as_a_norm(norm):
    norms.check_norm(norm)


@pytest.mark.parametrize("target", ["twosome.language.loading.isolated_rng", "twosome.language.config.ModelConfig"])
def test_a_configured_norm_is_looked_at_before_a_model_is_loaded(target):
    with pytest.raises(UserError, match=rf"^norm\._target_={target}: .*{SIGNATURE}"):
        parts.normalization(OmegaConf.create({"_target_": target, "_partial_": True}))
