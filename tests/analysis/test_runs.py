"""Reading runs: from folders, from published tables, what is refused, and what counts where a run was evaluated again."""

import json
import shutil

import pandas as pd
import pytest
from analysis_tools import (
    BENCHMARKS,
    PAPER,
    add_records,
    add_retention,
    evaluated,
    made,
    make_run,
    published,
    record,
    write_json,
)
from checkout import call

from twosome.errors import UserError
from twosome.report import records, runs
from twosome.report.records import COUNTED, EVALUATED
from twosome.report.runs import read_folder

JUNE, JULY = "2026-06-01T12:00:00+00:00", "2026-07-01T12:00:00+00:00"


def refused(match, *folders, **options):
    with pytest.raises(UserError, match=match) as caught:
        runs.read(list(folders), **options)
    assert "\n" not in str(caught.value)


def test_tasks_of_the_paper_come_first_and_another_prompt_is_another_task(tmp_path):
    for task in ("another", "tomato_lettuce_salad", "tomato_salad"):
        make_run(tmp_path / task, task=task)
    env = {"id": "twosome/Overcooked-v0", "task": "tomato_salad", "prompt": "no_context", "gamma": 0.99}
    make_run(tmp_path / "1", env=env)
    found = [run.task for run in runs.read([tmp_path], first=PAPER.tasks)]
    assert found == ["tomato_salad", "tomato_lettuce_salad", "another", "tomato_salad (no_context)"]


def test_evaluation_is_of_the_own_task_only(tmp_path):
    folder = make_run(tmp_path, after=0.5)
    other = record("lettuce_salad", "after", "sampled", 0.1)
    changed = record("tomato_salad", "after", "sampled", 0.2) | {"options": {"kwargs.map": "B"}}
    run = read_folder(add_records(folder, [other, changed]))
    assert run.evaluation("after")["return_mean"] == 0.5
    assert run.evaluation("after", options={"kwargs.map": "B"})["return_mean"] == 0.2
    assert run.evaluation("before") is None


def test_published_runs_are_the_same_runs(study, tmp_path):
    found = runs.read([study])
    exported = tmp_path / "adapters" / "tomato_salad"
    exported.mkdir(parents=True)
    for name in ("config.yaml", "provenance.json"):  # an adapter beside the tables is no further run
        shutil.copy(study / "ppo-1" / name, exported)
    (exported / "adapter_config.json").write_text("{}")
    again = runs.read([published(found, tmp_path)])
    assert [run.name for run in again] == [run.name for run in found]
    for ours, theirs in zip(found, again, strict=True):
        for name in records.COLUMNS:
            pd.testing.assert_frame_equal(getattr(ours, name), getattr(theirs, name))
        for name in ("config", "choices", "provenance", "finished", "steps", "optimizer_steps", "seconds", "covered"):
            assert getattr(ours, name) == getattr(theirs, name)
    assert len(runs.read([study, tmp_path])) == len(found)  # found twice, counted once


def test_publishing_leaves_nothing_of_earlier_runs(tmp_path):
    add_retention(make_run(tmp_path / "asked"), {}, probes=2)
    make_run(tmp_path / "plain")
    few = {"runs.csv", "curves.csv", "evaluations.csv"}
    for name, tables in (("asked", {*few, "accuracies.csv", "drift.csv", "forgetting.csv"}), ("plain", few)):
        assert set(made("publish", tmp_path / name, "--out", tmp_path / "out")) == tables
        assert {path.name for path in (tmp_path / "out").glob("*.csv")} == tables


def test_real_run_is_read(tmp_path):
    """Whatever changes in the run folders has to be followed here."""
    small = "model=tiny_random norm=token seed=3 total_steps=768 algorithm.num_envs=4 algorithm.num_steps=32"
    words = [
        "src/run.py",
        *small.split(),
        "evaluation.episodes=2",
        "env.kwargs.max_primitive_steps=30",
        "retention.limit=2",
        "hydra.run.dir=runs/it",
    ]
    ended = call(tmp_path, words)
    assert ended.code == 0, ended.output
    (found,) = runs.read([tmp_path / "runs"])
    episodes = pd.read_csv(tmp_path / "runs" / "it" / "episodes.csv")
    after = [r for r in json.loads((tmp_path / "runs" / "it" / "evaluation.json").read_text()) if r["when"] == "after"]
    assert (found.method, found.seed, found.task, found.steps) == ("twosome-token", 3, "tomato_salad", 768)
    assert (found.model, found.finished) == ("tiny_random/llama", True)
    assert found.seconds > 0
    began = episodes.env_step - 4 * episodes.decisions
    covered = episodes.groupby("env").env_step.max().min()
    binned = episodes[began < covered // 256 * 256]
    assert found.covered == covered >= 256
    assert found.bins.episodes.sum() == len(binned) > 0
    assert found.bins.return_sum.sum() == pytest.approx(binned.discounted_return.sum(), rel=1e-4)
    metrics = pd.read_csv(tmp_path / "runs" / "it" / "metrics.csv").set_index("env_steps")
    assert found.optimizer_steps == metrics.optimizer_steps.iloc[-1] > 0
    assert found.bins.optimizer_steps[0] == metrics.optimizer_steps[256]
    assert found.evaluation("after", "greedy")["return_mean"] == pytest.approx(after[1]["return_mean"], rel=1e-4)
    assert found.optimum == pytest.approx(0.920518)
    assert len(found.drift) == 1


def test_folders_without_runs_and_unfinished_runs_are_refused(tmp_path):
    refused("nowhere: no run in it", tmp_path / "nowhere")
    refused("no run in it; expected folders that src/run.py wrote", tmp_path)
    (make_run(tmp_path / "run") / "DONE").unlink()
    refused("twosome-word/0 is not finished; finish it with src/run.py resume=, or add --unfinished", tmp_path)
    (found,) = runs.read([tmp_path], unfinished=True)
    refused("twosome-word/0 is not finished", published([found], tmp_path / "published"))


def test_a_folder_with_a_link_is_refused(tmp_path):
    make_run(tmp_path / "run")
    (tmp_path / "run" / "adapter").symlink_to("/etc")
    refused("adapter: expected only files and folders", tmp_path / "run")


def test_a_run_without_results_yet_is_left_out(tmp_path, capsys):
    make_run(tmp_path / "first")
    begun = make_run(tmp_path / "second", seed=1)
    for name in ("metrics.csv", "evaluation.json", "DONE"):
        (begun / name).unlink()
    (found,) = runs.read([tmp_path], unfinished=True)
    assert found.source == tmp_path / "first"
    assert capsys.readouterr().err == f"warning: {begun}: left out, since the run has no results yet\n"
    (begun / "metrics.csv").write_text("update,env_steps,optimizer_steps,rollout_seconds,update_seconds\n")
    assert [run.steps for run in runs.read([tmp_path], unfinished=True)] == [8192, 0]


@pytest.mark.parametrize("seed", [0, 1])
def test_settings_are_not_mixed(tmp_path, seed):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", seed=seed, algorithm={"num_envs": 4, "learning_rate": 1e-4})
    refused("found algorithm.learning_rate=0.001 in .*a and algorithm.learning_rate=0.0001 in .*b; name only", tmp_path)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("twosome-word", {"trainer": {"accelerator": "gpu"}}),
        ("twosome-word", {"model": {"source": "smollm2", "seed": 1, "device": "cuda"}}),
        ("twosome-word", {"algorithm": {"num_envs": 4, "learning_rate": 1e-3, "added_later": True}}),
        ("ppo", {"model": {"source": "another"}}),
    ],
)
def test_what_does_not_change_the_setting_is_not_compared(tmp_path, method, changes):
    make_run(tmp_path / "a", method)
    make_run(tmp_path / "b", method, seed=1, **changes)
    assert len(runs.read([tmp_path])) == 2


def test_seeds_that_are_asked_for(tmp_path):
    for seed in (0, 1):
        make_run(tmp_path / f"word-{seed}", seed=seed)
    make_run(tmp_path / "ppo-0", "ppo")
    make_run(tmp_path / "random", "random", seed=7, steps=0)  # does not learn, so that its seed is not compared
    assert len(runs.read([tmp_path], seeds=(0,))) == 3
    refused(r"--seeds: expected \[0, 1\] of tomato_salad, ppo, found \[0\]", tmp_path, seeds=(0, 1))
    refused("--seeds: expected a run with one of", tmp_path / "ppo-0", seeds=(9,))


@pytest.mark.parametrize(
    ("rows", "own", "latest"),
    [
        ([("", 4, 1), ("", 4, 2)], 2, 2),
        ([("", 4, 1), (JUNE, 100, 2)], 1, 2),
        ([(JUNE, 100, 1), ("", 4, 2)], 2, 1),
        ([(JUNE, 4, 1), (JULY, 3, 2)], 1, 2),
        ([(JULY, 4, 1), (JUNE, 4, 2)], 1, 1),
        ([(JUNE, 4, 1), (JUNE, 4, 2)], 2, 2),
    ],
)
def test_what_counts_by_hand(rows, own, latest):
    table = pd.DataFrame([("b", "", 1, 0), *(("a", *row) for row in rows)], columns=["task", EVALUATED, "episodes", "value"])
    for which, value in zip(COUNTED, (own, latest), strict=True):
        assert records.counted(table, ("task",), "episodes", which).value.tolist() == [0, value]


def again(folder, value, at=JUNE, episodes=3):
    """Play a run's own task again."""
    played = [record("tomato_salad", "after", mode, value) | {"episodes": episodes} for mode in ("sampled", "greedy")]
    return add_records(folder, played, at)


def test_later_evaluations_of_two_copies_are_both_the_runs(tmp_path):
    one = make_run(tmp_path / "one")
    other = again(shutil.copytree(one, tmp_path / "two"), 0.7, JULY)
    again(one, 0.6, JUNE)
    tables = published([read_folder(other)], tmp_path / "published")
    assert "somebody" not in (tables / "evaluations.csv").read_text()
    for folders in ([one, other], [other, one], [tables, one]):
        (run,) = runs.read(folders)
        assert sorted(run.evaluations.return_mean) == [0.5, 0.5, 0.6, 0.6, 0.7, 0.7]
        values = [run.counted(which).evaluation("after")["return_mean"] for which in COUNTED]
        assert values == [0.5, 0.7]
    assert "| 0.500 | 0.500 |" in made("summary", one, other, "--out", tmp_path / "out")["summary.md"].read_text()
    latest = made("summary", one, other, "--out", tmp_path / "out", "--evaluations", "latest")["summary.md"].read_text()
    assert "| 0.700 | 0.700 |" in latest
    assert "its latest evaluation counts (--evaluations latest)" in latest


def test_copies_with_other_results_are_refused(tmp_path):
    one = make_run(tmp_path / "one")
    for number, changes in enumerate(({"curve": lambda step: 0.4}, {"after": 0.6})):
        refused("the same setting and seed as .*, with different results", one, make_run(tmp_path / f"two-{number}", **changes))
    slower = shutil.copytree(one, tmp_path / "slower")
    (slower / "metrics.csv").write_text((slower / "metrics.csv").read_text().replace(",1.5,", ",2.5,"))
    assert len(runs.read([one, slower])) == 1
    add_retention(one, dict.fromkeys(BENCHMARKS, "gg"))
    refused("with different results", one, add_retention(slower, dict.fromkeys(BENCHMARKS, "rl")))


def test_the_language_model_asked_later(tmp_path):
    run = add_retention(make_run(tmp_path / "run"), dict.fromkeys(BENCHMARKS, "rr-l"), kl=0.1)
    copy, asked = shutil.copytree(run, tmp_path / "copy"), add_retention(make_run(tmp_path / "asked"), {"new": "gggg"}, kl=0.4)
    new = json.loads((asked / "retention.json").read_text())
    content, gained = json.loads((copy / "retention.json").read_text()), new["benchmarks"]["new"]
    found = ({"drift": new["drift"]}, {"benchmarks": {"mmlu": gained}}, {"benchmarks": {"new": gained}})
    write_json(copy / "retention.json", content | {"later": [{"evaluated": evaluated(JUNE), **each} for each in found]})
    for words, kl, mmlu in (([], 0.1, -0.25), (["--evaluations", "latest"], 0.4, 1.0)):
        for folders in ([run, copy], [copy, run], [published([read_folder(copy)], tmp_path / "tables")]):
            written = made("retention", *folders, *words, "--out", tmp_path / "out")
            rows = pd.read_csv(written["retention.csv"]).set_index("benchmark")
            assert (rows.change["mmlu"], rows.change["piqa"], rows.change["new"]) == (mmlu, -0.25, 1)
            assert pd.read_csv(written["drift.csv"]).kl.tolist() == [kl]
