"""What the commands refuse: folders that cannot be written into, and that are not theirs. One line, nothing changed."""

import shlex
from importlib import import_module

import pytest
from analysis_tools import SCRIPTS, add_retention, make_run

from twosome.errors import visible
from twosome.report.data import published
from twosome.report.output.files import FIGURES, PUBLISHED

OUTS = {
    "FILE": "it is a file",
    "FILE/below": "cannot be written into (Not a directory)",
    "/proc": "cannot be written into (",  # root may write anywhere that can be written at all
    "/proc/new": "cannot be written into (",
    "x" * 300: "cannot be written into (File name too long)",
}


def refused(capsys, script, *words, code=2):
    """The line that a command says."""
    assert import_module(script).main(list(map(str, words))) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("out", OUTS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_out_that_cannot_be_written_into(tmp_path, capsys, script, out):
    """It is said before runs are read: there are none."""
    (tmp_path / "file").write_text("kept")
    out = out.replace("FILE", str(tmp_path / "file"))
    line = refused(capsys, script, tmp_path / "nowhere", "--out", out)
    assert f"--out {out}: {OUTS[out.replace(str(tmp_path / 'file'), 'FILE')]}" in line
    assert "expected a folder, which is made if need be; name another" in line
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("script", SCRIPTS)
def test_nothing_is_left_of_a_folder_that_was_only_tried(tmp_path, capsys, script):
    refused(capsys, script, tmp_path / "nowhere", "--out", tmp_path / "new" / "deep")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_named(tmp_path, capsys):
    make_run(tmp_path / "run")
    (tmp_path / "out" / "summary.md").mkdir(parents=True)
    line = refused(capsys, "summary", tmp_path / "run", "--out", tmp_path / "out", "--bootstrap-samples", "2", code=1)
    assert f"{tmp_path / 'out' / 'summary.md'}: Is a directory; " in line
    assert {path.name for path in (tmp_path / "out").iterdir()} == {FIGURES, "summary.md"}


def test_names_in_files_do_not_reach_the_terminal():
    assert visible("a\nb\x1b[31m é") == r"a\nb\x1b[31m é"


@pytest.mark.parametrize("script", SCRIPTS)
def test_files_of_ones_own_are_not_replaced(tmp_path, capsys, script):
    """Nor are those of publish.py by the other commands, nor theirs by it."""
    make_run(tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "curves.csv").write_text("kept")
    other = "summary" if script == "publish" else "publish"
    words = ("--bootstrap-samples", "2") if other == "summary" else ()
    assert import_module(other).main([str(tmp_path / "run"), "--out", str(tmp_path / "written"), *words]) == 0
    capsys.readouterr()
    for folder in (tmp_path / "mine", tmp_path / "written"):
        before = {path: path.read_bytes() for path in folder.iterdir()}
        line = refused(capsys, script, tmp_path / "run", "--out", folder)
        assert (
            f"--out {folder}: holds {min(before).name}, which this command did not write; expected a folder that is new" in line
        )
        assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_publish_takes_a_folder_of_its_own_and_leaves_nothing_of_earlier_runs(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    add_retention(make_run(tmp_path / "asked"), {}, probes=2)
    make_run(tmp_path / "plain")
    for run, tables in (("asked", set(published.TABLES)), ("plain", set(published.FILES))):
        assert import_module("publish").main([str(tmp_path / run), "--out", str(tmp_path / "out")]) == 0
        assert {path.name for path in (tmp_path / "out").iterdir()} == tables | {PUBLISHED}
        (read,) = published.read(tmp_path / "out")
        assert len(read.retained.drift) == (run == "asked")


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_begins_with_what_the_command_does_and_three_examples(script):
    parser = import_module(script).parser()
    does, *_, examples = parser.about.split("\n\n")
    title, *lines = examples.splitlines()
    assert parser.format_help().startswith(f"{parser.about}\n\nusage: ")
    assert does.endswith(".")
    assert (title, len(lines)) == ("Examples:", 3)
    for line in lines:
        python, path, *words = shlex.split(line)
        assert (python, path) == ("python", f"analysis/{script}.py")
        assert parser.parse_args(words).runs
