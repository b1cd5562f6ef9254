"""The table of GLAM's tests, on runs with known records."""

import argparse
import json

import pytest
from analysis_tools import PAPER, make_run, record

from twosome.envs.babyai_text.env import BabyAITextEnv
from twosome.envs.babyai_text.tasks import TESTS
from twosome.report.data.collection import by_task
from twosome.report.data.run_folder import read_folder
from twosome.report.results import glam_table

ENV = {"id": "twosome/BabyAIText-v0", "task": "mixed", "prompt": "default", "gamma": 0.99, "kwargs": {"split": "train"}}
OPTIONS = argparse.Namespace(evaluations="own")


def folder_of(folder, seed, rates, method="glam-none", task="mixed", **kwargs):
    """A run with a record of each player in some tests. rates: of the trained agent, by setting. kwargs: of the environment."""
    env = ENV | {"task": task, "kwargs": ENV["kwargs"] | kwargs}
    made = make_run(folder / f"run-{method}-{seed}", seed=seed, task=task, after=None, env=env, label=method)
    records = [
        record(task, when, "sampled", 0.5) | {"env": ENV["id"], "episodes": 100, "options": {}, "optimum": None} | setting
        | {"success_rate": rate if when == "after" else 0.1}
        | ({"evaluated": {"at": f"2026-01-0{seed + 1}T00:00:00+00:00"}} if setting else {})
        for setting, rate in rates
        for when in ("random", "before", "after")
    ]  # fmt: skip
    (made / "evaluation.json").write_text(json.dumps(records))
    return read_folder(made)


def test_success_of_all_seeds_stands_beside_the_papers(tmp_path):
    held_out = {"options": {"kwargs.split": "test"}}
    nouns = {"prompt": "other_nouns"}
    runs = [folder_of(tmp_path, seed, [({}, 0.9), (nouns, rate), (held_out, 0.4)]) for seed, rate in ((0, 0.8), (1, 0.6))]
    data = glam_table.rows(by_task(runs), PAPER)
    by = {(row.test, row.when): row for row in data.itertuples()}
    assert {test for test, _ in by} == {glam_table.OWN, "other nouns", "held-out objects"}
    after, before = by["other nouns", "after"], by["other nouns", "before"]
    assert (after.rate, after.episodes, after.seeds, after.paper) == (pytest.approx(0.7), 200, 2, 0.87)
    assert after.half_99 == pytest.approx(2.576 * (0.7 * 0.3 / 200) ** 0.5)
    assert (before.rate, before.episodes, before.paper) == (pytest.approx(0.1), 100, 0.09)  # the same episodes count once
    assert by[glam_table.OWN, "after"].paper == 0.89
    table = glam_table.table(data, PAPER, OPTIONS)
    (row,) = [row for row in table.rows if row[2] == "other nouns"]
    assert row[3:] == ["0.10 (± 0.08)", "0.10 (± 0.08)", "0.70 (± 0.08)", "0.15", "0.09", "0.87"]
    assert "Flan-T5 large" in " ".join(table.notes)


FRENCH = {"task": "go_to_french"}


def papers(run):
    """The paper's numbers beside a run, by test and player."""
    data = glam_table.rows(by_task([run]), PAPER)
    return {(row.test, row.when): row.paper for row in data.itertuples() if row.paper == row.paper}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"method": "drrn"}, {"random": 0.15, "after": 0.14}),
        ({"method": "NPAE"}, {"random": 0.15, "after": 0.17}),
        ({"method": "twosome-word"}, {"random": 0.15}),
        ({"room_size": 6}, {}),
        ({"num_objects": 4}, {}),
        ({"task": "go_to"}, {}),
        ({"task": "go_to_local"}, {"before": 0.27, "after": 0.99}),
    ],
)
def test_the_papers_numbers_stand_beside_runs_of_the_same_method_and_setting(tmp_path, options, expected):
    run = folder_of(tmp_path, 0, [({}, 0.9), ({"prompt": "invented_adjectives"}, 0.5)], **options)
    assert papers(run) == {(glam_table.OWN, when): number for when, number in expected.items()}


def test_french_is_of_agents_that_learned_go_to(tmp_path):
    assert papers(folder_of(tmp_path / "0", 0, [(FRENCH, 0.1)], task="go_to_local"))["French", "after"] == 0.01
    assert papers(folder_of(tmp_path / "1", 0, [(FRENCH, 0.1)], task="go_to_local", method="drrn"))["French", "after"] == 0.31
    assert papers(folder_of(tmp_path / "2", 0, [(FRENCH, 0.1)])) == {}


def test_runs_that_were_not_tested_give_no_row(tmp_path):
    assert glam_table.rows(by_task([folder_of(tmp_path, 0, [({}, 0.9)])]), PAPER).empty


def test_the_papers_tests_are_those_of_the_environment():
    entries = PAPER.content["glam"]["tests"].values()
    named = [{key: test[key] for key in ("task", "prompt") if key in test} | test.get("options", {}) for test in entries]
    assert named == list(TESTS.values())
    assert PAPER.content["glam"]["env"] == "twosome/BabyAIText-v0"
    assert BabyAITextEnv.tests is TESTS
