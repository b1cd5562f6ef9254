"""The command probe: its numbers are the engine's and belong together, and texts are scored as they are."""

import json
import math

import pytest
from evaluation_tools import composed

from twosome.errors import UserError
from twosome.experiment.probe import probe, run
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.norms import word
from twosome.language.scorer import Scorer

PROMPT = "You see a tomato, a bowl: it's here. You should first"
ACTIONS = ["pick up the tomato", "take the bowl", "chop, then serve"]


def test_the_numbers_belong_together():
    scorer = Scorer(load_language_model(ModelConfig(source="tiny_random")), word)
    probes, pieces = probe(scorer, PROMPT, ACTIONS)
    total = sum(math.exp(each.score) for each in probes)
    for each, tokens in zip(probes, pieces, strict=True):
        assert "".join(tokens) == f" {each.action}"
        assert (each.tokens, each.words) == (len(tokens), len(each.action.split()))
        assert each.score == pytest.approx(each.logprob / each.words, rel=1e-5)
        assert each.prob == pytest.approx(math.exp(each.score) / total, rel=1e-4)


def test_json_is_all_there_is_and_text_is_scored_as_it_is(capsys):
    words = ["prompt=a", 'actions=[1,"1.50","null","true","[b]",no]', "norm=token", "format=json"]
    run(composed("probe", "model=tiny_random", *words))
    rows = json.loads(capsys.readouterr().out)
    assert [row["action"] for row in rows] == ["1", "1.50", "null", "true", "[b]", "no"]
    assert all(list(row) == ["action", "tokens", "words", "logprob", "score", "prob"] for row in rows)
    assert all(row["score"] == pytest.approx(row["logprob"] / row["tokens"], rel=1e-5) for row in rows)


def test_the_table_shows_the_tokens(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run(composed("probe", "model=tiny_random", "prompt=You should first", "actions=[take the bowl, chop]"))
    output = capsys.readouterr().out
    assert "take the bowl" in output
    assert "·bowl" in output
    assert max(map(len, output.splitlines())) <= 80


@pytest.mark.parametrize("words", [["actions=[a]"], ["prompt=a"], ["prompt=a", "actions=[b]", "format=jsn"]])
def test_missing_words_are_refused(words):
    with pytest.raises(UserError, match=r"prompt|format=jsn: expected one of"):
        run(composed("probe", "model=tiny_random", *words))
