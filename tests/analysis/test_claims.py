"""The ledger: verdicts on runs that are made to fit them, and claims that name what there is."""

import numpy as np
import pandas as pd
import pytest
from analysis_tools import CLAIMS, MEASURES, PAPER, make_run

from twosome.report import claims, style
from twosome.report.claims import CONTRADICTED, OPEN, STATISTICS, SUPPORTED, Check, shown_by_paper
from twosome.report.paper import TAGS
from twosome.report.runs import ABLATION, read_folder
from twosome.report.statistics import Estimator

HIGHER = Check("ends higher", "final return", "difference", "twosome-word", 0.0, "ppo")
LEVEL = Check("ends high", "final return", "level", "twosome-word", 0.5)
QUICKER = Check("is quicker", "quickness", "improvement", "twosome-word", 0.5, "ppo")


def runs(folder, method, finals, **options):
    """Runs of a method with these returns, from the first episode to the last."""
    made = [make_run(folder / f"{method}-{n}", method, n, lambda _, r=r: r, 1024, **options) for n, r in enumerate(finals)]
    return [read_folder(run) for run in made]


def judged(check, *methods):
    return claims.judge(check, {each[0].method: each for each in methods}, 256, Estimator(samples=500), MEASURES)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([0.8, 0.8, 0.9], [0.5, 0.6, 0.7], SUPPORTED),
        ([0.5, 0.6, 0.7], [0.8, 0.8, 0.9], CONTRADICTED),
        ([0.5, 0.8, 0.9], [0.5, 0.6, 0.7], OPEN),  # better on average, but not surely
        ([0.9, 0.9], [0.1, 0.1, 0.1], OPEN),  # however clear it looks
        ([0.9, 0.9, 0.9], [0.1], OPEN),
    ],
)
def test_verdict_of_a_difference(tmp_path, ours, theirs, expected):
    outcome = judged(HIGHER, runs(tmp_path, "twosome-word", ours), runs(tmp_path, "ppo", theirs))
    assert outcome.verdict == expected
    assert outcome.estimate.center == pytest.approx(np.mean(ours) - np.mean(theirs))  # 3 runs or fewer: means
    assert bool(outcome.why) == (expected == OPEN)


@pytest.mark.parametrize(
    ("finals", "expected", "why"),
    [
        ([0.6, 0.7, 0.8], SUPPORTED, ""),
        ([0.1, 0.2, 0.3], CONTRADICTED, ""),
        ([0.9], OPEN, "TWOSOME, word has 1 of at least 3 seeds"),
    ],
)
def test_verdict_of_a_level(tmp_path, finals, expected, why):
    outcome = judged(LEVEL, runs(tmp_path, "twosome-word", finals))
    assert (outcome.verdict, outcome.why) == (expected, why)


def test_what_is_missing_is_named(tmp_path):
    word = runs(tmp_path, "twosome-word", [0.9] * 3, after=None)
    outcome = judged(HIGHER, word)
    assert (outcome.verdict, outcome.why, outcome.estimate) == (OPEN, "no run of PPO from scratch", None)
    outcome = judged(QUICKER, word, runs(tmp_path, "ppo", [0.7] * 3))  # the optimum is not known
    assert (outcome.verdict, outcome.why) == (OPEN, "no quickness of some run")


def test_policy_that_does_not_learn_needs_episodes_instead_of_seeds(tmp_path, monkeypatch):
    check = Check("ends higher", "final return", "difference", "twosome-word", 0.0, "saycan-none")
    word = runs(tmp_path, "twosome-word", [0.9] * 3)
    saycan = [read_folder(make_run(tmp_path / "saycan", "saycan-none", steps=0, after=-0.03))]
    outcome = judged(check, word, saycan)
    assert outcome.verdict == SUPPORTED
    assert outcome.estimate.center == pytest.approx(0.93)
    monkeypatch.setattr(claims, "MIN_EPISODES", 101)
    assert judged(check, word, saycan).why == "not finetuned has 100 of at least 101 episodes"


def test_ledger_of_the_study(results):
    rows = pd.read_csv(results / "claims.csv")
    whole = rows[rows.task == "all"].set_index("claim").verdict
    assert whole.to_dict() == dict.fromkeys((1, 2, 3, 4, 7), "supported") | dict.fromkeys(
        (5, 6, *range(8, 12), 17), "not measured"
    ) | dict.fromkeys(range(12, 17), "not enough data")  # of other tasks
    assert rows.center[rows.of.notna() & (rows.claim < 8)].notna().all()


@pytest.mark.parametrize("check", [check for claim in CLAIMS for check in claim.checks], ids=lambda check: check.says)
def test_claims_name_what_there_is(check):
    assert check.measure in MEASURES
    assert check.statistic in STATISTICS
    assert (check.than is None) == (check.statistic == "level")
    assert {method for method in check.methods if not method.startswith(ABLATION)} <= set(style.LABELS)


@pytest.mark.parametrize(
    ("measure", "task", "of", "than", "expected"),
    [
        ("final return", "tomato_salad", "twosome-word", "ppo", "0.92; 0.86 [F]"),
        ("final return", "entertainment", "twosome-token", "saycan-none", "0.565; 0.106 [F]"),
        ("quickness", "tomato_salad", "twosome-word", "ppo", "by 15k; by 100k [F]"),
        ("quickness", "entertainment", "twosome-word", "ppo", "by 30k; not at 200k [F]"),
        ("fall", "food_preparation", "twosome-none", None, "falls by at least 0.26 [F]"),
        ("fall", "entertainment", "twosome-none", None, "falls by at least 0.20 [F]"),
        ("steadiness", "tomato_salad", "twosome-word", "twosome-token", "—"),
        ("early return", "tomato_salad", "twosome-none", "twosome-token", "0.89 at 12k-15k; 0.29 at 10k [F]"),
        ("final return", "cheese", "twosome-word", "ppo", "—"),
        ("final success", "mixed", "glam-none", "ppo-film_lstm", "0.89; 0.40 [F]"),
        ("final success", "mixed", "glam-none", "drrn", "0.89; 0.14 [F]"),
        ("gain on new tasks", "food_preparation", "twosome-word", None, "0.34, from 0.66 to 1.00 [F]"),
        ("gain on the crossover", "entertainment", "twosome-word", None, "0.11, from 0.66 to 0.77 [F]"),
        ("success on new tasks", "food_preparation", "twosome-word", None, "1.00 [F]"),
        ("gain on new tasks", "tomato_salad", "twosome-word", None, "—"),
    ],
)
def test_what_the_paper_shows(measure, task, of, than, expected):
    assert shown_by_paper(Check("", measure, "difference", of, 0.0, than), task, PAPER) == expected


@pytest.mark.parametrize("task", PAPER.content["tasks"])
def test_paper_numbers_are_possible(task):
    panel = PAPER.content["tasks"][task]
    assert PAPER.content["tag"] in TAGS
    for method in panel["methods"]:
        curve = PAPER.curve(task, method)
        values = [*curve["final"], *(value for *_, value in curve["points"])]
        assert all(-1 <= value <= panel["optimum"] + 0.02 for value in values)
        steps = [step for first, last, _ in curve["points"] for step in (first, last)]
        assert steps == sorted(steps)
        assert all(0 <= step <= panel["steps"] for step in steps)
    unseen = PAPER.unseen(task, "twosome-word")
    assert all(0 <= before <= after <= 1 for before, after in unseen.values())
