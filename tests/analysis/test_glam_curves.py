"""What figures and tables show of BabyAI-Text: success, beside GLAM's numbers."""

import argparse
import json

import pandas as pd
import pytest
from analysis_tools import CLAIMS, OVERCOOKED, PAPER, make_run, record

import curves
from twosome.report.data.collection import by_task
from twosome.report.data.run_folder import read_folder
from twosome.report.paper import RETURN, SUCCESS
from twosome.report.results.claims_table import shown_by_paper
from twosome.report.results.learning_curves import Shown, draw
from twosome.report.results.summary_table import Summary
from twosome.report.statistics.axes import STEPS

GLAM = PAPER.content["glam"]["env"]
OPTIONS = argparse.Namespace(window=1024, stat="iqm", bootstrap_seed=0, bootstrap_samples=50, evaluations="own")


def folder_of(path, label, seed, share, steps=8192):
    """A run on the mixture of which this share of episodes, the last ones, succeed, with a return of 0.9 (others: 0.1)."""
    env = {"id": GLAM, "task": "mixed", "prompt": "default", "gamma": 0.99, "kwargs": {}}
    begin = (1 - share) * steps
    curve = lambda step: 0.9 if step > begin else 0.1  # noqa: E731
    return make_run(path / f"{label}-{seed}", "ppo", seed, curve, steps, "mixed", None, env=env, label=label)


@pytest.fixture
def runs(tmp_path):
    for seed in range(3):
        folder_of(tmp_path, "glam-none", seed, 0.5)
        folder_of(tmp_path, "ppo-film_lstm", seed, 0.0)
    make_run(tmp_path / "kitchen", "ppo", after=0.9, curve=lambda step: 0.7, steps=8192)
    return tmp_path


def test_curves_show_success_where_glam_does(runs, tmp_path):
    words = ["--window", "1024", "--bootstrap-samples", "5", "--out", str(tmp_path / "out")]
    assert curves.main([str(runs), *words]) == 0
    rows = pd.read_csv(tmp_path / "out" / "curves.csv")
    mixed, kitchen = rows[rows.task == "mixed"], rows[rows.task == "tomato_salad"]
    assert (set(mixed.measure), set(kitchen.measure)) == ({SUCCESS}, {RETURN})
    ends = mixed.groupby("method").center.last().to_dict()
    assert ends == {"glam-none": 1.0, "ppo-film_lstm": 0.0}
    assert kitchen.center.iloc[-1] == 0.7


def test_a_clone_is_a_level_and_no_curve(runs, tmp_path):
    for seed in range(3):
        folder = folder_of(tmp_path / "clones", "bc-word", seed, 1.0)
        choices = json.loads((folder / "choices.json").read_text())
        (folder / "choices.json").write_text(json.dumps(choices | {"algorithm": "bc"}))
        clone = record("mixed", "after", "sampled", 0.2) | {"env": GLAM, "success_rate": 0.5 + 0.1 * seed}
        (folder / "evaluation.json").write_text(json.dumps([clone]))
    words = ["--window", "1024", "--bootstrap-samples", "200", "--out", str(tmp_path / "out")]
    assert curves.main([str(runs), *words]) == 0
    rows = pd.read_csv(tmp_path / "out" / "curves.csv")
    (row,) = rows[rows.method == "bc-word"].itertuples()
    assert (row.kind, row.measure, row.seeds) == ("evaluation", SUCCESS, 3)
    assert (row.center, row.low, row.high) == pytest.approx((0.6, 0.5, 0.7))
    assert set(rows[rows.method != "bc-word"].kind) == {"training"}


def test_a_policy_that_is_only_evaluated_is_a_level_of_success(tmp_path):
    folder = folder_of(tmp_path, "random", 0, 0.0, steps=0)
    (folder / "evaluation.json").write_text(
        pd.Series([record("mixed", "after", "sampled", 0.2) | {"env": GLAM}]).to_json(orient="values")
    )
    assert curves.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    (row,) = pd.read_csv(tmp_path / "out" / "curves.csv").itertuples()
    assert (row.measure, row.center) == (SUCCESS, 0.75)
    assert row.high - row.low == pytest.approx(2 * 1.96 * (0.75 * 0.25 / 100) ** 0.5, rel=1e-3)


def drawn(rows, task):
    """The figure's only panel."""
    shown = Shown(STEPS, {task: 0.9}, {task: 1024}, "iqm", ["glam-none", "twosome-word"], PAPER)
    (axes,) = draw(rows, shown).axes
    return axes, [tuple(line.get_ydata()) for line in axes.lines if line.get_marker() == "o"]


def test_points_of_the_paper_stand_beside_the_curves_of_success():
    steps = {"env_steps": [0, 700_000], "center": [0.5, 0.5], "low": [0.4, 0.4], "high": [0.6, 0.6], "kind": "training"}
    glam = pd.DataFrame({"task": "mixed", "method": "glam-none", "measure": SUCCESS, **steps})
    axes, points = drawn(glam, "mixed")
    assert (axes.get_ylabel(), points) == (SUCCESS, [(0.8,), (0.9,)])
    assert not [text for text in axes.texts if "optimum" in text.get_text()]
    legend = " ".join(text.get_text() for text in axes.figure.legends[0].texts)
    assert PAPER.content["glam"]["model"] in legend
    kitchen = pd.DataFrame({"task": "tomato_salad", "method": "twosome-word", "measure": RETURN, **steps})
    axes, points = drawn(kitchen, "tomato_salad")
    assert (axes.get_ylabel(), points[0]) == (RETURN, (0.73,))
    assert [text for text in axes.texts if "optimum" in text.get_text()]


def test_ppo_with_a_memory_is_what_others_are_compared_with(runs):
    summary = Summary(by_task([read_folder(path) for path in sorted(runs.iterdir())]), PAPER, OPTIONS).rows()
    better = summary[summary.task == "mixed"].set_index("method").improvement
    assert better["glam-none"] == 1
    assert pd.isna(better["ppo-film_lstm"])


def test_the_ledger_shows_the_papers_success():
    (claim,) = [claim for claim in CLAIMS if claim.claim == "8"]
    shown = [shown_by_paper(check, "mixed", PAPER) for check in claim.checks if check.measure == "final success"]
    assert shown == ["0.89; 0.40 [F]", "0.89; 0.14 [F]", "0.89; 0.17 [F]"]
    assert PAPER.shows(OVERCOOKED) == RETURN
