"""The files of a run's folder from a stranger: links, JSON, pipes."""

import json
import os
import shutil

import pytest

from twosome.errors import UserError
from twosome.plain import MAX_DEPTH, parse_json
from twosome.storage.folder import RunFolder
from twosome.storage.lock import locked


@pytest.fixture
def folder(tmp_path):
    """A finished run's folder."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / "config.yaml").write_text("seed: 0\n")
    folder.write_json("choices.json", {})
    folder.finish()
    return folder


@pytest.mark.parametrize("name", [".lock", "checkpoints", ".export.part", "tensorboard/hparams.yaml", "metrics.csv"])
def test_a_link_that_leads_out_of_the_folder_is_refused(folder, tmp_path, name):
    outside = tmp_path / "precious"
    outside.write_text("mine")
    path = folder.path / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(outside)
    with pytest.raises(UserError, match=f"{name} is a link to {outside}, expected none"), locked(folder.path):
        pass
    assert outside.read_text() == "mine"


def test_links_within_the_folder_and_to_it_are_fine(folder, tmp_path):
    (folder.path / "latest").symlink_to("config.yaml")
    (tmp_path / "alias").symlink_to(folder.path)
    with locked(tmp_path / "alias"):
        assert (folder.path / ".lock").exists()


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


def test_a_pipe_is_not_waited_for(folder):
    shutil.rmtree(folder.path)
    folder.path.mkdir()
    os.mkfifo(folder.path / "choices.json")
    with pytest.raises(UserError, match="it is not a file"):
        folder.read_json("choices.json", {})
