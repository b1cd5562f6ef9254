"""Reading runs: from folders, from published tables, and what is refused."""

import json
import shutil

import pandas as pd
import pytest
import yaml
from analysis_tools import PAPER, add_retention, make_run, record, write_json
from checkout import checkout, run

from twosome.errors import UserError
from twosome.former import upgraded
from twosome.report.data import collection, published
from twosome.report.data.run_folder import read_folder


def test_bins_hold_all_episodes(study):
    episodes = pd.read_csv(study / "ppo-1" / "episodes.csv")
    bins = read_folder(study / "ppo-1").bins
    assert bins.step.is_monotonic_increasing
    assert set(bins.step % 256) == {0}
    assert bins.episodes.sum() == len(episodes)
    assert bins.successes.sum() == episodes.success.sum()
    first = episodes[episodes.env_step <= 256].discounted_return
    assert bins.iloc[0][["step", "episodes", "return_sum"]].tolist() == pytest.approx([256, 16, first.sum()], abs=1e-5)


def test_found_runs_are_sorted_and_named_by_what_distinguishes_them(study):
    runs = collection.read([study])
    assert [run.name for run in runs][:4] == [f"tomato_salad/{name}" for name in ("optimal/0", "ppo/0", "ppo/1", "ppo/2")]
    assert {run.method for run in runs} == {
        *("twosome-word", "twosome-token", "twosome-none", "ppo", "saycan-none", "saycan-oracle", "random", "optimal")
    }
    assert {run.optimum for run in runs} == {0.92}


def test_paper_tasks_come_first(tmp_path):
    for task in ("another", "tomato_lettuce_salad", "tomato_salad"):
        make_run(tmp_path / task, task=task)
    assert [run.task for run in collection.read([tmp_path], first=PAPER.tasks)] == [
        "tomato_salad",
        "tomato_lettuce_salad",
        "another",
    ]


def test_another_prompt_is_another_task(tmp_path):
    env = {"id": "twosome/Overcooked-v0", "task": "tomato_salad", "prompt": "no_context", "gamma": 0.99}
    make_run(tmp_path / "0")
    make_run(tmp_path / "1", env=env)
    assert [run.task for run in collection.read([tmp_path], first=PAPER.tasks)] == ["tomato_salad", "tomato_salad (no_context)"]


def test_evaluation_is_of_the_own_task_only(tmp_path):
    folder = make_run(tmp_path, after=0.5)
    other = record("lettuce_salad", "after", "sampled", 0.1)
    changed = record("tomato_salad", "after", "sampled", 0.2) | {"options": {"kwargs.map": "B"}}
    records = json.loads((folder / "evaluation.json").read_text())
    write_json(folder / "evaluation.json", [*records, other, changed])
    assert read_folder(folder).evaluation("after", "sampled")["return_mean"] == 0.5
    assert len(read_folder(folder).evaluations) == 4


def test_published_runs_are_the_same_runs(study, tmp_path):
    runs = collection.read([study])
    published.write(runs, tmp_path)
    again = collection.read([tmp_path])
    assert [run.name for run in again] == [run.name for run in runs]
    for ours, theirs in zip(runs, again, strict=True):
        pd.testing.assert_frame_equal(ours.bins, theirs.bins)
        pd.testing.assert_frame_equal(ours.evaluations, theirs.evaluations)
        for name in ("config", "choices", "provenance", "finished", "steps", "seconds", "setting", "model"):
            assert getattr(ours, name) == getattr(theirs, name)
    both = collection.read([study, tmp_path])  # found twice, counted once
    assert len(both) == len(runs)


def test_published_adapters_are_no_further_runs(study, tmp_path):
    runs = collection.read([study])
    exported = tmp_path / "adapters" / "tomato_salad"
    exported.mkdir(parents=True)
    for name in ("config.yaml", "provenance.json"):
        shutil.copy(study / "ppo-1" / name, exported)
    (exported / "adapter_config.json").write_text("{}")
    published.write(runs, tmp_path)
    assert [run.name for run in collection.read([tmp_path])] == [run.name for run in runs]
    assert (exported / "config.yaml").exists()


def test_real_run_is_read(tmp_path):
    """Whatever changes in the run folders has to be followed here."""
    small = (
        "model=tiny_random norm=token seed=3 total_steps=768 algorithm.num_envs=4 algorithm.num_steps=32 evaluation.episodes=2"
    )
    words = ["src/run.py", *small.split(), "env.kwargs.max_primitive_steps=30", "retention.limit=2", "hydra.run.dir=runs/it"]
    (ended,) = run(checkout(tmp_path), [words])
    assert ended.code == 0, ended.output
    (found,) = collection.read([tmp_path / "runs"])
    episodes = pd.read_csv(tmp_path / "runs" / "it" / "episodes.csv")
    after = [r for r in json.loads((tmp_path / "runs" / "it" / "evaluation.json").read_text()) if r["when"] == "after"]
    assert (found.method, found.seed, found.task, found.steps) == ("twosome-token", 3, "tomato_salad", 768)
    assert found.model == "tiny_random/llama"
    assert found.finished
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
    assert collection.read(published_folder([found], tmp_path / "published"))[0].bins.equals(found.bins)


def published_folder(runs, folder):
    published.write(runs, folder)
    return [folder]


def refused(match, *folders, **options):
    with pytest.raises(UserError, match=match) as caught:
        collection.read(list(folders), **options)
    assert "\n" not in str(caught.value)


def test_missing_and_empty_folders_are_refused(tmp_path):
    refused("nowhere: no such folder", tmp_path / "nowhere")
    refused("no run in it; expected folders with config.yaml", tmp_path)


def test_unfinished_run_is_refused_unless_asked_for(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "DONE").unlink()
    refused(f"finish it with python src/run.py resume={folder}, or add --unfinished", tmp_path)
    (found,) = collection.read([tmp_path], unfinished=True)
    assert not found.finished
    refused("finish tomato_salad/twosome-word/0 and publish it again", *published_folder([found], tmp_path / "published"))


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("config.yaml", "seed: [1", "config.yaml: expected a readable file"),
        ("config.yaml", "seed: 1", "config.yaml: expected an entry env; it is of another version"),
        ("config.yaml", "", "config.yaml: expected a readable file .it holds NoneType, expected a map."),
        ("evaluation.json", "{}", "evaluation.json: expected a readable file .it holds dict, expected a list."),
        ("choices.json", None, "choices.json: expected a readable file .No such file or directory."),
        ("provenance.json", "{", "provenance.json: expected a readable file"),
        ("episodes.csv", "env_step,reward\n1,2\n", "episodes.csv: expected a column env; the run is"),
        (
            "episodes.csv",
            "env_step,env,decisions,discounted_return,success\nx,0,1,2,True\n",
            "episodes.csv: row 1: env_step: expected a whole number",
        ),
        ("metrics.csv", "update\n1\n", "metrics.csv: expected a column env_steps"),
        ("evaluation.json", '[{"when": "after"}]', "evaluation.json: record 1: expected env in each record"),
        (
            "evaluation.json",
            json.dumps([record("x", "after", "greedy", 0.5) | {"evaluated": 1}]),
            "evaluated: expected a mapping",
        ),
    ],
)
def test_damaged_folder_is_refused(tmp_path, file, content, match):
    folder = make_run(tmp_path / "run")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content)
    refused(match, folder)


def test_run_that_lost_its_results_is_refused(tmp_path):
    folder = make_run(tmp_path / "run")
    for name in ("metrics.csv", "evaluation.json"):
        (folder / name).unlink()
    refused("expected a metrics.csv or an evaluation.json, found neither", folder)
    refused("expected a metrics.csv or an evaluation.json, found neither", folder, unfinished=True)


def test_run_that_has_just_begun_is_left_out_with_a_warning(tmp_path, capsys):
    make_run(tmp_path / "first")
    begun = make_run(tmp_path / "second", seed=1)
    for name in ("metrics.csv", "evaluation.json", "DONE"):
        (begun / name).unlink()
    (found,) = collection.read([tmp_path], unfinished=True)
    assert found.source == tmp_path / "first"
    assert capsys.readouterr().err == f"warning: {begun}: left out, since the run has no results yet\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "match"),
    [
        ("runs.csv", "\n2,tomato", "\n3,tomato", "expected format 2, or 1, in all rows, found 3; publish the runs again"),
        ("runs.csv", "format,", "version,", "runs.csv: expected a column format"),
        ("runs.csv", ',"{', ',"<', "runs.csv: tomato_salad/twosome-word/0: config: expected JSON .Expecting value"),
        ("runs.csv", '""seed"":0', '""seed"":""x""', "word/0: config: seed: expected a whole number .*, found 'x'; publish"),
        ("runs.csv", '""env"":""overcooked""', '""env"":5', "word/0: choices: env: expected a name .*, found 5; publish"),
        ("runs.csv", ",True,", ",maybe,", "runs.csv: row 1: finished: expected True or False, found 'maybe'"),
        (
            "runs.csv",
            ",began,",
            ",middled,",
            "word/0: expected began or ended as binned, .* found 'middled' and 8192 of 8192 steps",
        ),
        (
            "runs.csv",
            ",8192,began,",
            ",8193,began,",
            "word/0: .* at most all steps covered, found 'began' and 8193 of 8192 steps",
        ),
        ("runs.csv", ",8192,24,", ",9999999999,24,", "row 1: steps: expected a whole .* to 100000000, found '9999999999'"),
        ("curves.csv", ",return_sum", ",sum", "curves.csv: expected a column return_sum"),
        ("evaluations.csv", ",sampled,1000", ",sampled,many", "evaluations.csv: row 1: seed: expected a whole number"),
        ("evaluations.csv", ",0.75,", ",,", "row 1: success_rate: expected a number from 0 to 1, found ''; publish"),
        ("evaluations.csv", "tomato_salad,default", "tomato_salad", "evaluations.csv: row 1: "),
        ("curves.csv", "256,16,", "256,16.5,", "curves.csv: row 1: episodes: expected a whole number"),
        ("accuracies.csv", ",drift,acc_norm,", ",drift,acc,", "word/0, drift, acc: expected it once, found it twice; publish"),
        ("accuracies.csv", ",rl-g", ",rl-x", "accuracies.csv: .*/0, mmlu, acc: outcomes: expected one of -lgr for each"),
        ("forgetting.csv", ",1024,", ",first,", "forgetting.csv: row 1: env_steps: expected a whole number"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, file, old, new, match):
    run = add_retention(make_run(tmp_path / "run"), {"mmlu": "rl-g"}, probes=2)
    published.write([read_folder(run)], tmp_path / "published")
    path = tmp_path / "published" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    refused(match, tmp_path / "published")


def test_same_run_with_other_results_is_refused(tmp_path):
    make_run(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert len(collection.read([tmp_path])) == 1
    shutil.rmtree(tmp_path / "b")
    make_run(tmp_path / "b", curve=lambda step: 0.4)
    refused("the same setting and seed as .*a .tomato_salad/twosome-word/0., with different results", tmp_path)


@pytest.mark.parametrize("seed", [0, 1])
def test_settings_are_not_mixed(tmp_path, seed):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", seed=seed, algorithm={"num_envs": 4, "learning_rate": 1e-4})
    refused("found algorithm.learning_rate=0.001 in .*a and algorithm.learning_rate=0.0001 in .*b; name only", tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"trainer": {"accelerator": "gpu"}},
        {"model": {"source": "smollm2", "seed": 1, "device": "cuda"}},
        {"algorithm": {"num_envs": 4, "learning_rate": 1e-3, "added_later": True}},
    ],
)
def test_what_does_not_change_the_setting_is_not_compared(tmp_path, changes):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", seed=1, **changes)
    assert len(collection.read([tmp_path])) == 2


def test_ppo_does_not_depend_on_a_language_model(tmp_path):
    make_run(tmp_path / "a", "ppo")
    make_run(tmp_path / "b", "ppo", seed=1, model={"source": "another"})
    assert len(collection.read([tmp_path])) == 2


def test_different_seeds_are_reported(tmp_path, capsys):
    for seed in (0, 1):
        make_run(tmp_path / f"word-{seed}", seed=seed)
    make_run(tmp_path / "ppo-0", "ppo")
    make_run(tmp_path / "random", "random", seed=7, steps=0)  # does not learn, so that its seed is not compared
    assert len(collection.read([tmp_path])) == 4
    assert capsys.readouterr().err == ("warning: tomato_salad: methods have different seeds: ppo has 0; twosome-word has 0,1\n")
    refused("--seeds 0,1: tomato_salad, ppo has no run with seed 1; train it, or ask for seeds 0", tmp_path, seeds=(0, 1))
    assert len(collection.read([tmp_path], seeds=(0,))) == 3


def test_config_is_the_one_of_the_folder(tmp_path):
    folder = make_run(tmp_path)
    assert read_folder(folder).config == upgraded(yaml.safe_load((folder / "config.yaml").read_text()))
