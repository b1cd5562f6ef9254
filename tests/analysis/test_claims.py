"""The ledger: verdicts on runs that are made to fit them, and claims that name what there is."""

import numpy as np
import pytest
from analysis_tools import CLAIMS, MEASURES, PAPER, make_run, rising

from twosome.report.data.run import ABLATION
from twosome.report.data.run_folder import read_folder
from twosome.report.output import style
from twosome.report.paper import TAGS
from twosome.report.results.claims_table import shown_by_paper
from twosome.report.statistics import claims as judging
from twosome.report.statistics import measures
from twosome.report.statistics.claims import CONTRADICTED, OPEN, STATISTICS, SUPPORTED, Check
from twosome.report.statistics.estimates import Bootstrap

HIGHER = Check("ends higher", "final return", "difference", "twosome-word", 0.0, "ppo")
LEVEL = Check("ends high", "final return", "level", "twosome-word", 0.5)
QUICKER = Check("is quicker", "quickness", "improvement", "twosome-word", 0.5, "ppo")


def runs(folder, method, finals, **options):
    """Runs of a method with these returns, from the first episode to the last."""
    made = [make_run(folder / f"{method}-{n}", method, n, lambda _, r=r: r, 1024, **options) for n, r in enumerate(finals)]
    return [read_folder(run) for run in made]


def judged(check, *methods):
    return judging.judge(check, {each[0].method: each for each in methods}, 256, Bootstrap(500), MEASURES)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([0.8, 0.8, 0.9], [0.5, 0.6, 0.7], SUPPORTED),
        ([0.5, 0.6, 0.7], [0.8, 0.8, 0.9], CONTRADICTED),
        ([0.5, 0.8, 0.9], [0.5, 0.6, 0.7], OPEN),  # better on average, but not surely
        ([0.5, 0.6, 0.7], [0.5, 0.8, 0.9], OPEN),
        ([0.9, 0.9], [0.1, 0.1, 0.1], OPEN),  # however clear it looks
        ([0.9, 0.9, 0.9], [0.1], OPEN),
    ],
)
def test_verdict_of_a_difference(tmp_path, ours, theirs, expected):
    outcome = judged(HIGHER, runs(tmp_path, "twosome-word", ours), runs(tmp_path, "ppo", theirs))
    assert outcome.verdict == expected
    assert outcome.estimate.center == pytest.approx(np.mean(ours) - np.mean(theirs))  # 3 runs or fewer: means
    assert bool(outcome.why) == (expected == OPEN)


def test_one_seed_supports_nothing(tmp_path):
    outcome = judged(LEVEL, runs(tmp_path, "twosome-word", [0.9]))
    assert (outcome.verdict, outcome.why) == (OPEN, "TWOSOME, word has 1 of at least 3 seeds")


@pytest.mark.parametrize(("finals", "expected"), [([0.6, 0.7, 0.8], SUPPORTED), ([0.1, 0.2, 0.3], CONTRADICTED)])
def test_verdict_of_a_level(tmp_path, finals, expected):
    assert judged(LEVEL, runs(tmp_path, "twosome-word", finals)).verdict == expected


def test_missing_method_is_named(tmp_path):
    outcome = judged(HIGHER, runs(tmp_path, "twosome-word", [0.9] * 3))
    assert (outcome.verdict, outcome.why, outcome.estimate) == (OPEN, "no run of PPO from scratch", None)


def test_never_reached_is_later_than_reached(tmp_path):
    word, ppo = runs(tmp_path, "twosome-word", [0.92] * 3), runs(tmp_path, "ppo", [0.7] * 3)
    assert judged(QUICKER, word, ppo).verdict == SUPPORTED
    assert judged(Check("is quicker", "quickness", "improvement", "ppo", 0.5, "twosome-word"), word, ppo).verdict == CONTRADICTED


def test_policy_that_does_not_learn_needs_episodes_instead_of_seeds(tmp_path, monkeypatch):
    check = Check("ends higher", "final return", "difference", "twosome-word", 0.0, "saycan-none")
    word = runs(tmp_path, "twosome-word", [0.9] * 3)
    saycan = [read_folder(make_run(tmp_path / "saycan", "saycan-none", steps=0, after=-0.03))]
    outcome = judged(check, word, saycan)
    assert outcome.verdict == SUPPORTED
    assert outcome.estimate.center == pytest.approx(0.93)
    monkeypatch.setattr(judging, "MIN_EPISODES", 101)
    assert judged(check, word, saycan).why == "not finetuned has 100 of at least 101 episodes"


def test_unknown_optimum_is_no_verdict(tmp_path):
    outcome = judged(QUICKER, runs(tmp_path, "twosome-word", [0.9] * 3, after=None), runs(tmp_path, "ppo", [0.7] * 3))
    assert (outcome.verdict, outcome.why) == (OPEN, "no quickness of some run")


def test_claim_as_a_whole():
    assert judging.overall([SUPPORTED, SUPPORTED]) == SUPPORTED
    assert judging.overall([SUPPORTED, OPEN]) == OPEN
    assert judging.overall([SUPPORTED, OPEN, CONTRADICTED]) == CONTRADICTED
    assert judging.overall([OPEN]) == OPEN
    assert judging.overall([]) == judging.UNMEASURED


@pytest.mark.parametrize("check", [check for claim in CLAIMS for check in claim.checks], ids=lambda check: check.says)
def test_claims_name_what_there_is(check):
    assert check.measure in MEASURES
    assert check.statistic in STATISTICS
    assert (check.than is None) == (check.statistic == "level")
    assert {method for method in check.methods if not method.startswith(ABLATION)} <= set(style.LABELS)


def test_paper_supports_its_own_claims():
    """What is read off the figure lies on the right side of each threshold, where it can be told."""
    final = {method: PAPER.curve("tomato_salad", method) for method in ("twosome-word", "twosome-token", "twosome-none", "ppo")}
    ends = {method: sum(curve.final) / 2 for method, curve in final.items()}
    for check in (check for claim in CLAIMS for check in claim.checks):
        if check.measure == "final return" and set(check.methods) <= set(ends):
            assert ends[check.of] - ends[check.than] > check.above
    assert measures.deepest(np.array(final["twosome-none"].values)) == pytest.approx(0.305)


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
    ],
)
def test_what_the_paper_shows(measure, task, of, than, expected):
    check = Check("", measure, "difference", of, 0.0, than)
    assert shown_by_paper(check, task, PAPER) == expected


@pytest.mark.parametrize("task", PAPER.content["tasks"])
def test_paper_numbers_are_possible(task):
    panel = PAPER.content["tasks"][task]
    assert PAPER.content["tag"] in TAGS
    for method in panel["methods"]:
        curve = PAPER.curve(task, method)
        assert all(-1 <= value <= panel["optimum"] + 0.02 for value in (*curve.final, *curve.values))
        steps = [step for first, last, _ in curve.points for step in (first, last)]
        assert steps == sorted(steps)
        assert all(0 <= step <= panel["steps"] for step in steps)


def test_fast_start_and_collapse_are_seen(tmp_path):
    """The paper's story of no normalisation, in three seeds."""
    collapsing = lambda step: rising(0.9, 300)(step) if step < 4096 else 0.5  # noqa: E731
    made = [make_run(tmp_path / f"none-{n}", "twosome-none", n, collapsing) for n in range(3)]
    made += [make_run(tmp_path / f"token-{n}", "twosome-token", n, rising(0.9, 2000)) for n in range(3)]
    methods = {"twosome-none": [read_folder(f) for f in made[:3]], "twosome-token": [read_folder(f) for f in made[3:]]}
    (claim,) = (claim for claim in CLAIMS if claim.claim == "2")
    verdicts = [judging.judge(check, methods, 512, Bootstrap(200), MEASURES).verdict for check in claim.checks]
    assert verdicts == [SUPPORTED, SUPPORTED]
