"""What counts where a run was evaluated more than once: by hand, from folders, copies and published tables."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from analysis_tools import BENCHMARKS, add_records, add_retention, evaluated, make_run, record, unseen_records, write_json

import curves
import generalization
import retention
import summary
from twosome.errors import UserError
from twosome.report.data import collection, published, repeats
from twosome.report.data.repeats import COUNTED
from twosome.report.data.run_folder import read_folder
from twosome.report.statistics import retention as pooling

JUNE, JULY = "2026-06-01T12:00:00+00:00", "2026-07-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("rows", "own", "latest"),
    [
        ([("", 4, 1), ("", 4, 2)], 2, 2),  # before there was such a column: the last one
        ([("", 4, 1), (JUNE, 100, 2)], 1, 2),
        ([(JUNE, 100, 1), ("", 4, 2)], 2, 1),
        ([(JUNE, 4, 1), (JULY, 3, 2)], 1, 2),
        ([(JULY, 4, 1), (JUNE, 4, 2)], 1, 1),
        ([(JUNE, 4, 1), (JUNE, 4, 2)], 2, 2),
    ],
)
def test_what_counts_by_hand(rows, own, latest):
    table = pd.DataFrame(rows, columns=[repeats.EVALUATED, "episodes", "value"]).assign(task="a")
    for which, value in zip(COUNTED, (own, latest), strict=True):
        assert repeats.counted(table, ("task",), "episodes", which).value.tolist() == [value]


def test_tasks_keep_their_order():
    rows = [("a", "", 1, 1), ("b", JUNE, 1, 2), ("a", JUNE, 1, 3), ("b", JULY, 1, 4), ("c", "", 1, 5)]
    table = pd.DataFrame(rows, columns=["task", repeats.EVALUATED, "episodes", "value"])
    assert repeats.counted(table, ("task",), "episodes", "own").value.tolist() == [1, 4, 5]
    assert repeats.counted(table, ("task",), "episodes", "latest").value.tolist() == [3, 4, 5]
    assert repeats.counted(table[:0], ("task",), "episodes", "own").empty


def again(folder, value, at=JUNE, episodes=3):
    """Play a run's own task again."""
    played = [record("tomato_salad", "after", mode, value) | {"episodes": episodes} for mode in ("sampled", "greedy")]
    return add_records(folder, played, at)


@pytest.fixture
def study(tmp_path):
    """A trained run and one that is only evaluated; and copies of both that were evaluated later."""
    for method, steps in (("twosome-word", 8192), ("random", 0)):
        made = make_run(tmp_path / "runs" / method, method, steps=steps, before=0.1 if steps else None)
        again(shutil.copytree(made, tmp_path / "copies" / method), 0.9)
    return tmp_path


def written(command, study, *names, words=()):
    """What a command wrote of these folders, by name."""
    out = study / "out" / "-".join([*names, *words])
    assert command.main([*(str(study / name) for name in names), "--window", "512", *words, "--out", str(out)]) == 0
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.parametrize("command", [summary, curves])
def test_a_run_and_its_copy_evaluated_later_are_one_run(study, command):
    alone = written(command, study, "runs")
    for names in (["runs", "copies"], ["copies", "runs"], ["copies"]):
        assert written(command, study, *names) == alone
    latest = ["--evaluations", "latest"]
    changed = written(command, study, "copies", words=latest)
    assert written(command, study, "runs", "copies", words=latest) == changed != alone


def test_the_option_takes_the_latest(study):
    rows = written(summary, study, "copies", words=["--evaluations", "latest"])
    assert b"| 0.900 | 0.900 |" in rows["summary.md"]
    assert b"its latest evaluation counts (--evaluations latest)" in rows["summary.md"]
    assert b"| 0.500 | 0.500 |" in written(summary, study, "copies")["summary.md"]


def test_later_evaluations_of_two_copies_are_both_the_runs(tmp_path):
    one = make_run(tmp_path / "one")
    other = again(shutil.copytree(one, tmp_path / "two"), 0.7, JULY)
    again(one, 0.6, JUNE)
    for folders in ([one, other], [other, one]):
        (run,) = collection.read(folders, evaluations="latest")
        assert sorted(run.evaluations.return_mean) == [0.5, 0.5, 0.6, 0.6, 0.7, 0.7]
        assert run.evaluation("after", "sampled")["return_mean"] == 0.7
        (run,) = collection.read(folders)
        assert run.evaluation("after", "sampled")["return_mean"] == 0.5


def test_copies_that_differ_in_their_own_records_are_refused(tmp_path):
    one = make_run(tmp_path / "one")
    make_run(tmp_path / "two", after=0.6)
    again(one, 0.6)
    with pytest.raises(UserError, match="with different results"):
        collection.read([tmp_path])


def test_published_tables_say_what_was_added(study, tmp_path):
    (copy,) = collection.read([study / "copies" / "twosome-word"])
    published.write([copy], tmp_path / "published")
    (read,) = collection.read([tmp_path / "published"])
    pd.testing.assert_frame_equal(read.evaluations, copy.evaluations)
    assert set(read.evaluations.evaluated) == {"", JUNE}
    text = (tmp_path / "published" / "evaluations.csv").read_text()
    assert "somebody" not in text
    both = collection.read([tmp_path / "published", study / "runs"])
    assert [run.evaluation("after", "sampled")["return_mean"] for run in both] == [0.5, 0.5]


def test_published_tables_without_the_column_are_the_runs_own(study, tmp_path):
    published.write(collection.read([study / "runs"]), tmp_path / "published")
    assert "evaluated" not in (tmp_path / "published" / "evaluations.csv").read_text()
    runs = collection.read([tmp_path / "published"])
    assert all((run.evaluations.evaluated == "").all() and len(run.evaluations) for run in runs)


def test_unseen_tasks_have_the_longest_evaluation_unless_the_latest_is_asked_for(tmp_path):
    run = make_run(tmp_path / "run")
    add_records(run, unseen_records("lettuce_salad", 0.9), JUNE)
    add_records(run, unseen_records("lettuce_salad", 0.5, untrained=0.25, episodes=4), JULY)
    for words, rate, episodes in (([], 0.9, 100), (["--evaluations", "latest"], 0.5, 4)):
        assert generalization.main([str(run), *words, "--out", str(tmp_path / "out")]) == 0
        rows = pd.read_csv(tmp_path / "out" / "generalization.csv").set_index("when")
        assert (rows.rate["after"], rows.episodes["after"]) == (rate, episodes)
        assert ("--evaluations latest" in (tmp_path / "out" / "generalization.md").read_text()) == bool(words)
    add_records(run, unseen_records("lettuce_salad", 0.75, episodes=2))  # by a version that did not say so
    assert generalization.main([str(run), "--out", str(tmp_path / "out")]) == 0
    assert pd.read_csv(tmp_path / "out" / "generalization.csv").set_index("when").episodes["after"] == 2


def later(folder, **found):
    """Ask a run's language model again."""
    file = folder / "retention.json"
    content = json.loads(file.read_text())
    write_json(file, content | {"later": [*content.get("later", []), {"evaluated": evaluated(JUNE), **found}]})
    return content


def test_the_language_model_asked_later(tmp_path):
    run = add_retention(make_run(tmp_path / "run"), dict.fromkeys(BENCHMARKS, "rr-l"), kl=0.1)
    copy, asked = shutil.copytree(run, tmp_path / "copy"), add_retention(make_run(tmp_path / "asked"), {"new": "gggg"}, kl=0.4)
    content = json.loads((asked / "retention.json").read_text())
    shutil.rmtree(asked)
    later(copy, drift=content["drift"])
    later(copy, benchmarks={"mmlu": content["benchmarks"]["new"]})
    later(copy, benchmarks={"new": content["benchmarks"]["new"]})
    for words, kl, mmlu in (([], 0.1, -0.25), (["--evaluations", "latest"], 0.4, 1.0)):
        for folders in ([run, copy], [copy, run], [copy]):
            assert retention.main([*map(str, folders), *words, "--out", str(tmp_path / "out")]) == 0
            rows = pd.read_csv(tmp_path / "out" / "retention.csv").set_index("benchmark")
            assert (rows.change["mmlu"], rows.change["piqa"], rows.change["new"]) == (mmlu, -0.25, 1)
            assert pd.read_csv(tmp_path / "out" / "drift.csv").kl.tolist() == [kl]
            assert ("--evaluations latest" in (tmp_path / "out" / "drift.md").read_text()) == bool(words)
    (read,) = collection.read([copy])
    assert pooling.change(read.counted_retained, ["mmlu"])[0] == -0.25
    assert np.isclose(read.counted_retained.drift.kl, 0.1).all()
    published.write([read], tmp_path / "published")
    (again,) = collection.read([tmp_path / "published"], evaluations="latest")
    pd.testing.assert_frame_equal(again.retained.drift, read.retained.drift)
    assert again.counted_retained.drift.kl.tolist() == [0.4]


@pytest.mark.parametrize("damage", [{"evaluated": "now"}, {}, "drift", {"evaluated": evaluated(JUNE), "benchmarks": {"mmlu": 3}}])
def test_a_damaged_later_entry_is_one_line(tmp_path, damage):
    run = add_retention(make_run(tmp_path / "run"), {})
    content = json.loads((run / "retention.json").read_text())
    write_json(run / "retention.json", content | {"later": [damage]})
    with pytest.raises(UserError, match=r"retention.json: .*expected a mapping, found .*evaluate the run again"):
        read_folder(run)
