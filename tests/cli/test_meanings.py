"""Comments of YAML files, as PyYAML does not read them."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from twosome.cli.meanings import declared
from twosome.errors import UserError

TEXT = """\
# @package _global_
# python src/run.py experiment=this
# What this is (since et al. 2022
# wrote it). More of it. Even more.
defaults:
  - _self_
  - env: overcooked # where it acts
  - /affordance@_global_.affordance: value # what it multiplies
  - override hydra/job_logging: disabled # no log
  - base

plain: 1 # behind
quoted: "a # b" # behind quotes
colour: '#ff0000' # behind a hash
none: # behind nothing
url: http://a#b
list: [1, "# 2"] # behind a list
long: [1,
  2] # behind its end
# above,
# on two lines
above: 3
# not this one, a blank line is between

alone: 4
both: 5 # this one
table: # of values
  one: 1
  two: 2
group: # of options
  first: 1 # inner
  # deeper above
  second:
    third: {a: 1} # innermost
block:
  - 1 # of an item
"""


@pytest.fixture
def declaration(tmp_path):
    (tmp_path / "file.yaml").write_text(TEXT)
    return declared(tmp_path / "file.yaml")


def test_comments_are_read(declaration):
    assert declaration.options == {
        "plain": "behind",
        "quoted": "behind quotes",
        "colour": "behind a hash",
        "none": "behind nothing",
        "url": "",
        "list": "behind a list",
        "long": "behind its end",
        "above": "above, on two lines",
        "alone": "",
        "both": "this one",
        "table": "of values",
        "table.one": "",
        "table.two": "",
        "group": "of options",
        "group.first": "inner",
        "group.second": "deeper above",
        "group.second.third": "innermost",
        "group.second.third.a": "",
        "block": "",
    }


def test_a_files_own_comment_and_its_groups(declaration):
    assert declaration.header == "What this is (since et al. 2022 wrote it). More of it. Even more."
    assert declaration.summary == "What this is (since et al. 2022 wrote it)."
    assert declaration.groups == {"env": "where it acts", "affordance": "what it multiplies"}


NAMES = st.from_regex(r"[a-z_]{1,9}", fullmatch=True)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab# :'\"[,{}-", max_size=9) | st.lists(st.integers())
COMMENTS = st.text("ab# :'\"[,{}-?", max_size=20).map(str.strip)


@given(st.dictionaries(NAMES, st.tuples(VALUES, COMMENTS, st.booleans()), min_size=1))
def test_any_option_keeps_its_comment(tmp_path_factory, entries):
    lines = ["first: 0"]
    for name, (value, comment, behind) in entries.items():
        option = f"x{name}: {yaml.safe_dump([value], default_flow_style=True, width=10_000).strip()[1:-1]}"
        lines += [f"{option} # {comment}"] if behind else ["", f"# {comment}", option]
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text("\n".join(lines))
    assert declared(path).options == {"first": ""} | {f"x{name}": comment for name, (_, comment, _) in entries.items()}


@pytest.mark.parametrize("text", ["", "# Only a comment.\n", "- 1\n", "null\n"])
def test_a_file_without_options(tmp_path, text):
    (tmp_path / "file.yaml").write_text(text)
    assert declared(tmp_path / "file.yaml").options == {}


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    (tmp_path / "file.yaml").write_text("a: [1\nb: 2\n")
    with pytest.raises(UserError, match=r"file\.yaml: expected YAML \(while parsing a flow sequence .*\); correct the file"):
        declared(tmp_path / "file.yaml")
