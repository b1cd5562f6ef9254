"""The command probe: its numbers are the engine's, its JSON stands alone, and bad input is one line."""

import json
import math

import pytest
from evaluation_tools import composed, refused, script
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from twosome.cli.probe import reword
from twosome.errors import UserError
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.norms import token, word
from twosome.language.scorer import Scorer
from twosome.runs.probe import probe, run

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


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (120, ["tokens", "words", "logprob", "score", "prob"]),
        (80, ["tokens", "words", "logprob", "score", "prob"]),
        (50, ["logprob", "score", "prob"]),
        (40, ["score", "prob"]),
        (30, ["prob"]),
        (20, []),
        (12, []),
    ],
)
def test_actions_are_the_last_to_go_in_a_narrow_terminal(columns, shown, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    long = "put the knife back where it was found"
    run(composed("probe", "model=tiny_random", "prompt=First", f"actions=[take the bowl,{long}]"))
    table, _, missing = capsys.readouterr().out.partition("not shown")
    lines = table.splitlines()
    assert max(map(len, lines)) <= columns
    header = next(line for line in lines if "action" in line)
    assert [cell.strip() for cell in header.strip("┃\n").split("┃")] == ["action", *shown]
    cells = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    assert long.replace(" ", "") in "".join(cells).replace(" ", "")
    assert "…" not in table
    omitted = [name for name in ("tokens", "words", "logprob", "score", "prob") if name not in shown]
    said = f" at {columns} columns: {', '.join(omitted)}; format=json has all"
    assert " ".join(missing.split()) == (said.strip() if omitted else "")


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
        (["prompt=a", "actions=[]"], "actions=[]: expected one action prompt or more"),
        (["prompt=a", "actions=[null,walk]"], "actions[0]=null: expected an action prompt"),
        (["prompt=a", "actions=[walk,[b],[c]]"], 'actions[1]=["b"]: expected an action prompt'),
        (["prompt=a", "actions=[{b: c}]"], 'actions[0]={"b": "c"}: expected an action prompt'),
        (["prompt=a", "actions=[1,true]"], "actions[1]=true: expected an action prompt"),
        (["prompt=a", "actions=[1.50]"], "actions[0]=1.5: expected an action prompt; text that Hydra reads as something else"),
        (["prompt=a", 'actions=[b,""]'], 'actions[1]="": expected an action prompt, which has a word at least; leave it out'),
        (["prompt=a", 'actions=[" \t"]'], 'actions[0]=" '),
        (["prompt=a", "actions=[b,c,b]"], 'actions[2]="b": the same as actions[0]; expected each action once'),
        (["prompt=a", 'actions=[1,"1"]'], 'actions[1]="1": the same as actions[0]'),
        (["prompt=a", "actions=[b]", "format=jsn"], "did you mean format=json?"),
        (["prompt=a", "actions=[b]", "norm._target_=os.system"], "norm._target_=os.system: "),
    ],
)
def test_bad_words_are_refused_before_a_model_is_loaded(words, said, monkeypatch):
    monkeypatch.setattr("twosome.language.loading.load_language_model", None)
    with pytest.raises(UserError) as error:
        run(composed("probe", "model=tiny_random", *words))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_text_that_looks_like_something_else_is_scored_as_it_is(capsys):
    run(composed("probe", "model=tiny_random", "prompt=a", 'actions=[1,"1.50","null","true","[b]",no]', "format=json"))
    assert [row["action"] for row in json.loads(capsys.readouterr().out)] == ["1", "1.50", "null", "true", "[b]", "no"]


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
