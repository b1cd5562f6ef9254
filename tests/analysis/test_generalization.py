"""Unseen tasks and GLAM's tests: rates, intervals and gains of synthetic records, what is missing, and what is drawn."""

import argparse
import json
import math

import pandas as pd
import pytest
from analysis_tools import (
    CLAIMS,
    MEASURES,
    OVERCOOKED,
    PAPER,
    VIRTUALHOME,
    add_records,
    made,
    make_run,
    record,
    refused,
    unseen_records,
)

from twosome.envs.babyai_text.env import BabyAITextEnv
from twosome.envs.babyai_text.tasks import TESTS
from twosome.report import claims, generalization
from twosome.report.runs import by_task, read_folder
from twosome.report.statistics import Estimator

FOOD = {"id": VIRTUALHOME, "task": "food_preparation", "prompt": "default", "gamma": 0.95}


def household(folder, trained, seed=0, task="cheese", **options):
    """A run on food preparation that was tested on another task."""
    folder = make_run(folder, seed=seed, task="food_preparation", env=FOOD)
    return add_records(folder, unseen_records(task, trained, env=VIRTUALHOME, **options))


def rows(*words):
    return pd.read_csv(made("generalization", *words)["generalization.csv"]).set_index(["task", "when"])


def test_episodes_are_pooled_over_seeds_and_seeds_are_shown(tmp_path):
    for seed, rate in enumerate((1.0, 0.9, 0.5)):
        household(tmp_path / str(seed), rate, seed)
    found = rows(tmp_path, "--out", tmp_path)
    after, before = found.loc["cheese", "after"], found.loc["cheese", "before"]
    assert (after.seeds, after.episodes, after.successes, after.rate) == (3, 300, 240, 0.8)
    assert (after.low, after.high) == pytest.approx((0.7510, 0.8414), abs=1e-4)  # by hand: (0.8 + 0.0064 -+ 0.0458) / 1.0128
    assert (after.seed_low, after.seed_high, after.by_seed) == (0.5, 1.0, "1 0.9 0.5")
    assert (after.gain, after.gain_low, after.gain_high) == pytest.approx((0.3, 0.0, 0.5), abs=1e-6)
    assert (before.paper, after.paper, after.paper_tag) == (0.66, 1.0, "F")
    assert math.isnan(found.loc["cheese", "random"].paper)
    text = (tmp_path / "generalization.md").read_text()
    assert "0.80 [0.75, 0.84] | 1.00 0.90 0.50 | +0.30 (+0.00 to +0.50) | 0.66 [F] | 1.00 [F] |" in text
    greedy = rows(tmp_path, "--out", tmp_path, "--mode", "greedy")
    assert greedy.rate.tolist() == [0.1, 0.25, 0.4]
    assert greedy.paper.isna().all()


def test_matrix_has_own_and_foreign_tasks_and_the_other_table_neither(tmp_path):
    for seed in range(2):
        run = household(tmp_path / str(seed), 0.8, seed)
        add_records(run, unseen_records("tomato_salad", 0.4, env=OVERCOOKED))
        add_records(run, unseen_records("food_preparation", 1.0, env=VIRTUALHOME))
        pizza = unseen_records("pizza", 1.0, env=VIRTUALHOME)
        add_records(run, [each | {"options": {"kwargs.max_primitive_steps": 9}} for each in pizza])  # not as in training
    written = made("generalization", tmp_path, "--out", tmp_path)
    assert pd.read_csv(written["generalization.csv"]).task.unique().tolist() == ["cheese"]
    whole = pd.read_csv(written["transfer.csv"]).set_index("task")
    assert whole.own.to_dict() == {"cheese": False, "tomato_salad": False, "food_preparation": True}
    assert whole.gain.to_dict() == pytest.approx({"cheese": 0.3, "tomato_salad": -0.1, "food_preparation": 0.5})
    assert "| Tomato salad | 0.40 (-0.10) |" in written["transfer.md"].read_text()


def test_a_seed_without_records_is_refused_and_a_task_without_is_left_out(tmp_path, capsys):
    household(tmp_path / "0", 0.8)
    make_run(tmp_path / "1", seed=1, task="food_preparation", env=FOOD)
    message = refused(capsys, "generalization", tmp_path, "--out", tmp_path / "out")
    assert "some run lacks a sampled evaluation on cheese by the random policy; make it with" in message
    make_run(tmp_path / "2")
    assert set(rows(tmp_path, "--out", tmp_path / "out", "--seeds", "0").trained_on) == {"food_preparation"}
    assert "warning: tomato_salad: left out" in capsys.readouterr().err
    message = refused(capsys, "generalization", tmp_path, "--method", "ppo", "--out", tmp_path / "out")
    assert message.startswith("error: --method ppo: expected a run with evaluations by src/evaluate.py suite=unseen, found none")


def test_claims_of_unseen_tasks(tmp_path):
    for seed, rate in enumerate((1.0, 0.98, 0.99)):
        run = household(tmp_path / str(seed), rate, seed)
        add_records(run, unseen_records("entertainment", 0.1, untrained=0.3, env=VIRTUALHOME))
        add_records(run, unseen_records("pizza", 1.0, untrained=0.9, env=VIRTUALHOME))
    runs = [read_folder(tmp_path / str(seed)) for seed in range(3)]
    assert MEASURES["gain on new tasks"](runs[1], 256) == pytest.approx((0.48 + 0.1) / 2)
    checks = [check for claim in CLAIMS for check in claim.checks if "the cross" in check.measure or "new tasks" in check.measure]
    judged = [claims.judge(check, {"twosome-word": runs}, 256, Estimator(samples=100), MEASURES) for check in checks]
    assert {check.says: outcome.verdict for check, outcome in zip(checks, judged, strict=True)} == {
        "succeeds more often on the six new tasks": claims.SUPPORTED,
        "succeeds more often on the other trained task": claims.CONTRADICTED,
        "succeeds on the six new tasks": claims.SUPPORTED,
    }
    assert math.isnan(MEASURES["success on new tasks"](read_folder(make_run(tmp_path / "untested")), 256))


def test_agents_that_were_played_in_another_environment_only(tmp_path, capsys):
    """Nothing of the first table and figure, which the report then does not have either, whatever an earlier one left."""
    made("generalization", household(tmp_path / "other", 0.5), "--out", tmp_path / "out")
    add_records(make_run(tmp_path / "run", steps=1024), unseen_records("cheese", 0.9, env=VIRTUALHOME))
    names = {f"transfer.{suffix}" for suffix in ("csv", "md", "tex", "pdf", "png")}
    assert set(made("generalization", tmp_path / "run", "--out", tmp_path / "out")) == names
    assert "no run of twosome-word was tested on them (src/evaluate.py, suite=unseen)" in capsys.readouterr().err
    text = made("report", tmp_path / "run", "--out", tmp_path / "out")["report.html"].read_text()
    assert "transfer.csv" in text
    assert "generalization.csv" not in text


ENV = {"id": "twosome/BabyAIText-v0", "task": "mixed", "prompt": "default", "gamma": 0.99, "kwargs": {"split": "train"}}
FRENCH = {"task": "go_to_french"}


def folder_of(folder, seed, rates, method="glam-none", task="mixed", **kwargs):
    """A run with a record of each player in some tests. rates: of the trained agent, by setting. kwargs: of the environment."""
    env = ENV | {"task": task, "kwargs": ENV["kwargs"] | kwargs}
    folder = make_run(folder / f"run-{method}-{seed}", seed=seed, task=task, after=None, env=env, label=method)
    records = [
        record(task, when, "sampled", 0.5) | {"env": ENV["id"], "episodes": 100, "options": {}, "optimum": None} | setting
        | {"success_rate": rate if when == "after" else 0.1}
        | ({"evaluated": {"at": f"2026-01-0{seed + 1}T00:00:00+00:00"}} if setting else {})
        for setting, rate in rates
        for when in ("random", "before", "after")
    ]  # fmt: skip
    (folder / "evaluation.json").write_text(json.dumps(records))
    return read_folder(folder)


def glam_rows(*runs):
    return pd.DataFrame(generalization.glam_rows(by_task(runs), PAPER))


def test_success_of_all_seeds_stands_beside_glams(tmp_path):
    held_out = {"options": {"kwargs.split": "test"}}
    nouns = {"prompt": "other_nouns"}
    runs = [folder_of(tmp_path, seed, [({}, 0.9), (nouns, rate), (held_out, 0.4)]) for seed, rate in ((0, 0.8), (1, 0.6))]
    data = glam_rows(*runs)
    by = {(row.test, row.when): row for row in data.itertuples()}
    assert {test for test, _ in by} == {generalization.OWN, "other nouns", "held-out objects"}
    after, before = by["other nouns", "after"], by["other nouns", "before"]
    assert (after.rate, after.episodes, after.seeds, after.paper) == (pytest.approx(0.7), 200, 2, 0.87)
    assert after.half_99 == pytest.approx(2.576 * (0.7 * 0.3 / 200) ** 0.5)
    assert (before.rate, before.episodes, before.paper) == (pytest.approx(0.1), 100, 0.09)  # the same episodes count once
    table = generalization.glam_table(data, PAPER, argparse.Namespace(evaluations="own"))
    (row,) = [row for row in table.rows if row[2] == "other nouns"]
    assert row[3:] == ["0.10 (± 0.08)", "0.10 (± 0.08)", "0.70 (± 0.08)", "0.15", "0.09", "0.87"]
    assert "Flan-T5 large" in " ".join(table.notes)
    assert glam_rows(folder_of(tmp_path / "untested", 0, [({}, 0.9)])).empty


def test_tests_of_other_environments_are_the_options_that_differ(tmp_path):
    lake = {"env": "twosome/FrozenLake-v0", "task": "4x4"}
    folder = make_run(
        tmp_path / "run", task="4x4", after=None, env={"id": lake["env"], "task": "4x4", "prompt": "default", "gamma": 0.99}
    )
    records = [
        record("4x4", when, "sampled", 0.5) | lake | {"episodes": 100, "options": options, "success_rate": rate}
        for when, rates in (("before", (0.1, 0.2)), ("after", (0.9, 0.8)))
        for options, rate in zip(({}, {"kwargs.split": "test"}), rates, strict=True)
    ]
    (folder / "evaluation.json").write_text(json.dumps(records))
    found = {(row.test, row.when): row.rate for row in glam_rows(read_folder(folder)).itertuples()}
    own, test = generalization.OWN, "kwargs.split=test"
    assert found == {(own, "before"): 0.1, (own, "after"): 0.9, (test, "before"): 0.2, (test, "after"): 0.8}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"method": "drrn"}, {"random": 0.15, "after": 0.14}),
        ({"method": "twosome-word"}, {"random": 0.15}),
        ({"room_size": 6}, {}),
        ({"task": "go_to"}, {}),
        ({"task": "go_to_local"}, {"before": 0.27, "after": 0.99}),
    ],
)
def test_glams_numbers_stand_beside_runs_of_the_same_method_and_setting(tmp_path, options, expected):
    run = folder_of(tmp_path, 0, [({}, 0.9), ({"prompt": "invented_adjectives"}, 0.5)], **options)
    found = {(row.test, row.when): row.paper for row in glam_rows(run).itertuples() if row.paper == row.paper}
    assert found == {(generalization.OWN, when): number for when, number in expected.items()}


def test_the_papers_tests_are_those_of_the_environment():
    entries = PAPER.content["glam"]["tests"].values()
    named = [{key: test[key] for key in ("task", "prompt") if key in test} | test.get("options", {}) for test in entries]
    assert named == list(TESTS.values())
    assert PAPER.content["glam"]["env"] == ENV["id"]
    assert BabyAITextEnv.tests is TESTS
