"""src/probe.py: its numbers are the engine's, its JSON stands alone, and bad input is one line."""

import json
import math

import pytest
from evaluation_tools import composed, refused, script
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from probe import reword
from twosome.errors import UserError
from twosome.language.config import ModelConfig
from twosome.language.loading import load_language_model
from twosome.language.norms import token, word
from twosome.language.probe import probe, run
from twosome.language.scorer import Scorer

PROMPT = "You see a tomato, a bowl: it's here. You should first"
ACTIONS = ["pick up the tomato", "take the bowl", "chop, then serve"]


def test_json_is_all_there_is():
    quoted = ", ".join(f'"{action}"' for action in ACTIONS)
    code, output, errors = script(
        "probe", "model=tiny_random", f"prompt={PROMPT}", f"actions=[{quoted}]", "norm=token", "format=json"
    )
    assert code == 0, errors
    rows = json.loads(output)
    assert [list(row) for row in rows] == [["action", "tokens", "words", "logprob", "score", "prob"]] * 3
    expected, _ = probe(Scorer(load_language_model(ModelConfig(source="tiny_random")), token), PROMPT, ACTIONS)
    for row, each in zip(rows, expected, strict=True):
        assert row["action"] == each.action
        assert row["logprob"] == pytest.approx(each.logprob, abs=1e-4)


def test_the_table_shows_the_tokens(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run(composed("probe", "model=tiny_random", "prompt=You should first", "actions=[take the bowl, chop]"))
    output = capsys.readouterr().out
    assert "take the bowl" in output
    assert "·bowl" in output
    assert max(map(len, output.splitlines())) <= 80


def test_the_numbers_belong_together():
    scorer = Scorer(load_language_model(ModelConfig(source="tiny_random")), word)
    probes, pieces = probe(scorer, PROMPT, ACTIONS)
    total = sum(math.exp(each.score) for each in probes)
    for each, tokens in zip(probes, pieces, strict=True):
        assert "".join(tokens) == f" {each.action}"
        assert (each.tokens, each.words) == (len(tokens), len(each.action.split()))
        assert each.score == pytest.approx(each.logprob / each.words, rel=1e-5)
        assert each.prob == pytest.approx(math.exp(each.score) / total, rel=1e-4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["actions=[a]"], "prompt=None: expected"),
        (["prompt=a"], "actions=[]: expected"),
        (["prompt=a", "actions=bowl"], "actions=bowl: expected a list"),
        (["prompt=a", "actions=[b]", "format=jsn"], "did you mean format=json?"),
        (["prompt=a", "actions=[b]", "norm._target_=os.system"], "norm._target_=os.system: expected"),
    ],
)
def test_bad_words_are_refused_before_a_model_is_loaded(words, said, monkeypatch):
    monkeypatch.setattr("twosome.language.loading.load_language_model", None)
    with pytest.raises(UserError) as error:
        run(composed("probe", "model=tiny_random", *words))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_option_is_one_line_on_the_command_line():
    assert "did you mean norm" in refused("probe", "prompt=a", "actions=[b]", "nrom=word")


TEXTS = st.text(st.characters(exclude_characters="\0\n\r$", exclude_categories=("Cs",)), min_size=1)


@given(TEXTS | st.text("a\\'\" ,", min_size=1))
def test_any_prompt_reaches_the_model_as_it_is(text):
    if text[0] not in "\"'":
        [override] = OverridesParser.create().parse_overrides([reword(f"prompt={text}")])
        assert override.value() == text


def test_other_words_are_left_alone():
    for same in ("norm=word", "prompt", "prompt=", "prompt='a, b'", "actions=[a]"):
        assert reword(same) == same
