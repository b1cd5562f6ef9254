"""The small files of a run that an experiment copies: a run that several experiments share has each one's label in its copy."""

import json

import pytest

from twosome.storage.folder import RunFolder


@pytest.mark.parametrize(
    ("asked", "recorded"), [("ablation/prompt/explicit", "ablation/prompt/explicit"), (None, "twosome-word")]
)
def test_a_copy_has_the_label_that_was_asked_for(tmp_path, asked, recorded):
    own = {"task": "tomato_salad", "method": "twosome-word", "label": "mine", "seed": 3}
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write_json("provenance.json", own)
    folder.finish()
    folder.copy_labelled(tmp_path / "copy", asked)
    assert json.loads((tmp_path / "copy" / "provenance.json").read_text()) == own | {"label": recorded}
    assert (tmp_path / "copy" / "DONE").exists()
    assert folder.read_json("provenance.json", {}) == own
