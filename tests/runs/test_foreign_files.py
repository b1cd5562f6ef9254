"""The JSON of a run's folder from a stranger."""

import json

import pytest

from twosome.errors import UserError
from twosome.plain import MAX_DEPTH, parse_json
from twosome.storage.folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    """A finished run's folder."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / "config.yaml").write_text("seed: 0\n")
    folder.write_json("choices.json", {})
    folder.finish()
    return folder


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, "{" * 50, '{"a": ' + "[" * 40 + "]" * 40 + "}", '{"a": ' * 40 + "1" + "}" * 40, "9" * 5_000, "[]"],
)
@pytest.mark.parametrize("name", ["choices.json", "provenance.json"])
def test_json_is_bounded(folder, name, content):
    (folder.path / name).write_text(content)
    with pytest.raises(UserError, match=rf"{name}: expected readable JSON \("):
        folder.read_json(name, {})


def test_json_as_deep_as_ours_is_read():
    text = '{"a": ' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    assert parse_json(text) == json.loads(text)
