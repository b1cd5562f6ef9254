"""Learning curves: the numbers against each x-axis, and what figures show of them."""

import json

import numpy as np
import pandas as pd
import pytest
from analysis_tools import AGAINST, OPTIMUM, PAPER, drawn, made, make_run, make_study, record, rising

from twosome.report.curves import NOTHING
from twosome.report.paper import RETURN, SUCCESS
from twosome.report.runs import read_folder
from twosome.report.statistics import AXES, OPTIMIZER_STEPS, SECONDS, STEPS, along, smoothed

GLAM = PAPER.content["glam"]["env"]


def make_paced(folder, updates, **options):
    """A run of 8192 steps whose return is the share of them at which an episode began; updates: rows of metrics.csv."""
    folder = make_run(folder, curve=lambda end: (end - 64) / 8192, **options)
    head = "env_steps,optimizer_steps,rollout_seconds,update_seconds"
    (folder / "metrics.csv").write_text("\n".join([head, *(",".join(map(str, row)) for row in updates)]) + "\n")
    return folder


def rows_of(folder, against, *words):
    """The rows that are drawn against an axis, by method."""
    written = made("curves", folder, "--against", against, "--out", folder / "out", *words)
    return pd.read_csv(written[f"curves{AXES[against].suffix}.csv"]).set_index("method")


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_plotted_numbers(results):
    rows = pd.read_csv(results / "curves.csv").set_index("method")
    word, random = rows.loc["twosome-word"], rows.loc["random"]
    assert word.env_steps.tolist() == list(range(512, 8193, 256))  # every bin, since a quarter of the window is less
    assert (word.seeds == 3).all()
    assert ((word.low <= word.center) & (word.center <= word.high)).all()
    assert word.center.iloc[-1] == pytest.approx(0.919, abs=0.002)  # 0.92, 0.919, 0.918
    assert word.low.iloc[-1] == pytest.approx(0.918, abs=0.001)
    assert (random.kind, random.center) == ("evaluation", -0.4)


def test_unfinished_runs_are_drawn_as_far_as_all_of_them_are(tmp_path):
    for seed, steps in enumerate((8192, 5000)):
        folder = make_run(tmp_path / str(seed), seed=seed, curve=lambda step: step / 10_000, steps=steps, total_steps=8192)
    (folder / "DONE").unlink()
    rows = pd.read_csv(made("curves", tmp_path, "--out", tmp_path, "--unfinished")["curves.csv"])
    assert rows.env_steps.max() == 4864  # the last whole bin
    assert rows.center.to_numpy() == pytest.approx((rows.env_steps - 224).to_numpy() / 10_000, abs=0.005)


def test_a_run_goes_along_an_axis_at_its_own_pace(tmp_path):
    """Half of the steps take 10 optimiser steps and 2 seconds, the others 30 and 18."""
    run = read_folder(make_paced(tmp_path / "run", [(4096, 10, 1, 1), (8192, 40, 9, 9)]))
    at = np.array([2048, 4096, 6144, 8192])
    assert along(run, OPTIMIZER_STEPS, at).tolist() == [5, 10, 25, 40]
    assert along(run, SECONDS, at).tolist() == [1, 2, 11, 20]
    steps, values = smoothed(run, 512)
    rows = rows_of(tmp_path, "optimizer_steps")
    np.testing.assert_allclose(rows.optimizer_steps, along(run, OPTIMIZER_STEPS, steps), rtol=1e-4)
    np.testing.assert_allclose(rows.center, values, rtol=1e-4)
    row = pd.read_csv(made("summary", tmp_path, "--out", tmp_path / "out")["summary.csv"]).iloc[0]
    assert (row.optimizer_steps, row.seconds, row.steps) == (40, 20, 8192)
    assert row.optimizer_steps_to_good == pytest.approx(10 + 30 * (row.steps_to_good - 4096) / 4096, abs=1e-3)
    assert row.seconds_to_good == pytest.approx(2 + 18 * (row.steps_to_good - 4096) / 4096, abs=1e-3)


def test_seeds_are_averaged_at_equal_x(tmp_path):
    """One run takes twice as long as the other: where both are after 10 seconds, one has done half of what the other has."""
    make_paced(tmp_path / "fast", [(8192, 8, 5, 5)])
    make_paced(tmp_path / "slow", [(8192, 8, 10, 10)], seed=1)
    rows = rows_of(tmp_path, "seconds", "--stat", "mean-std")
    assert rows.seconds.iloc[-1] == 10  # where the first of them ends
    assert rows.center.iloc[-1] == pytest.approx((0.96 + 0.46) / 2, abs=0.01)
    assert rows.seconds.is_monotonic_increasing
    steps = rows_of(tmp_path, "optimizer_steps")
    assert steps.center.tolist() == pytest.approx(rows_of(tmp_path, "env_steps").center.tolist(), abs=1e-4)


@pytest.mark.parametrize("axis", AXES.values(), ids=lambda axis: axis.name)
def test_axes_of_a_figure(tmp_path, monkeypatch, axis):
    """What was only evaluated is a level line from side to side, and the paper's points are at environment steps."""
    make_run(tmp_path / "run", steps=16_384, total_steps=16_384)
    make_run(tmp_path / "random", "random", steps=0, after=0.25)
    figures = drawn(monkeypatch, "curves", tmp_path, "--against", axis.name, "--out", tmp_path / "out")
    rows = pd.read_csv(tmp_path / "out" / f"curves{axis.suffix}.csv")
    assert set(figures) == {f"curves_norms{axis.suffix}", f"curves_baselines{axis.suffix}"}
    (panel,) = figures[f"curves_baselines{axis.suffix}"].axes
    assert panel.get_xlabel().startswith(f"{axis.label}\nmean of the episodes that began in the last 512\n")
    assert panel.get_xscale() == ("log" if axis.log else "linear")
    first = rows[rows.method == "twosome-word"][axis.name].iloc[0]
    assert panel.get_xlim() == pytest.approx((first if axis.log else 0, rows[axis.name].max()), rel=1e-4)
    (level,) = [line for line in panel.get_lines() if list(line.get_ydata()) == [0.25, 0.25]]
    assert tuple(level.get_xdata()) == pytest.approx(panel.get_xlim())
    assert any(line.get_marker() == "o" for line in panel.get_lines()) == (axis is STEPS)


def test_paper_is_drawn_unless_switched_off_as_far_as_the_runs_go(tmp_path, monkeypatch):
    def points(figure):
        return [step for line in figure.axes[0].get_lines() if line.get_marker() == "o" for step in line.get_xdata()]

    longer = make_study(tmp_path / "longer", seeds=(0,), steps=16_384)
    for figure in drawn(monkeypatch, "curves", longer, "--out", tmp_path).values():
        assert labels(figure)[-1] == "paper, LLaMA-7B,\nread off the figure"
        assert 10_000 <= max(points(figure)) <= 16_384
    norms, baselines = drawn(monkeypatch, "curves", longer, "--no-paper", "--out", tmp_path).values()
    assert points(norms) == points(baselines) == []
    assert labels(norms) == ["TWOSOME, word", "TWOSOME, token", "TWOSOME, no norm"]
    assert labels(baselines) == ["TWOSOME, word", "PPO from scratch", "SayCan, oracle", "not finetuned", "random"]
    for figure in (norms, baselines):
        assert any(set(line.get_ydata()) == {OPTIMUM} for line in figure.axes[0].get_lines())
    colours = [figure.legends[0].get_lines()[0].get_color() for figure in (norms, baselines)]
    assert colours[0] == colours[1]  # word is in both


def test_short_runs_are_drawn_with_the_window_that_is_said(tmp_path, monkeypatch):
    make_run(tmp_path / "short", curve=rising(0.8, 500), steps=1024)
    made_of = made("summary", tmp_path, "--window", "4096", "--out", tmp_path / "out")["summary.md"].read_text()
    assert "of the episodes that began in the last 512 environment steps of the curve" in made_of
    assert "fewer than twice the 4,096 steps of --window is given half of it" in made_of
    make_run(tmp_path / "long", curve=rising(0.8, 500), steps=8192, task="another")
    words = (tmp_path, "--window", "4096", "--out", tmp_path / "out")
    summary = made("summary", *words)["summary.md"].read_text()
    assert "4,096 (another) or 512 (tomato salad) environment steps" in summary
    short, long = drawn(monkeypatch, "curves", *words)["curves_norms"].axes
    assert (short.get_title("right"), long.get_title("right")) == ("N = 512", "N = 4,096")
    assert "in the last N\n" in long.get_xlabel()


def test_runs_in_which_no_episode_ended_are_drawn(tmp_path, monkeypatch):
    make_run(tmp_path / "runs" / "0", curve=[], steps=32)
    make_run(tmp_path / "runs" / "1", curve=[], steps=32, seed=1)
    for axis, names in AGAINST.items():  # dvc.yaml lists them
        assert set(made("curves", tmp_path / "runs", "--out", tmp_path, "--against", axis)) == names
    text = made("summary", tmp_path / "runs", "--out", tmp_path)["summary.md"].read_text()
    assert "| — | — | > 0 (0 of 2) | > 0 | > 0 s | 32 | 24 | 8 s | — |" in text
    norms = drawn(monkeypatch, "curves", tmp_path / "runs", "--out", tmp_path)["curves_norms"]
    assert norms.legends[0].get_texts() == []
    assert NOTHING in [text.get_text() for text in norms.axes[0].texts]


def folder_of(path, label, seed, share, steps=8192):
    """A run on the mixture of which this share of episodes, the last ones, succeed, with a return of 0.9 (others: 0.1)."""
    env = {"id": GLAM, "task": "mixed", "prompt": "default", "gamma": 0.99, "kwargs": {}}
    begin = (1 - share) * steps
    curve = lambda step: 0.9 if step > begin else 0.1  # noqa: E731
    return make_run(path / f"{label}-{seed}", "ppo", seed, curve, steps, "mixed", None, env=env, label=label)


def test_curves_show_success_where_glam_does(tmp_path):
    for seed in range(3):
        folder_of(tmp_path, "glam-none", seed, 0.5)
        folder_of(tmp_path, "ppo-film_lstm", seed, 0.0)
        clone = folder_of(tmp_path, "bc-word", seed, 1.0)
        provenance = json.loads((clone / "provenance.json").read_text()) | {"actor": "demonstrator"}
        (clone / "provenance.json").write_text(json.dumps(provenance))
        evaluation = record("mixed", "after", "sampled", 0.2) | {"env": GLAM, "success_rate": 0.5 + 0.1 * seed}
        (clone / "evaluation.json").write_text(json.dumps([evaluation]))
    make_run(tmp_path / "kitchen", "ppo", after=0.9, curve=lambda step: 0.7, steps=8192)
    rows = pd.read_csv(made("curves", tmp_path, "--window", "1024", "--out", tmp_path / "out")["curves.csv"])
    mixed, kitchen = rows[rows.task == "mixed"], rows[rows.task == "tomato_salad"]
    assert (set(mixed.measure), set(kitchen.measure)) == ({SUCCESS}, {RETURN})
    ends = mixed.groupby("method").center.last().to_dict()
    assert ends == pytest.approx({"glam-none": 1.0, "ppo-film_lstm": 0.0, "bc-word": 0.6})
    assert kitchen.center.iloc[-1] == 0.7
    assert mixed.groupby("method").kind.first()["bc-word"] == "evaluation"  # a clone is a level and no curve
    better = pd.read_csv(made("summary", tmp_path, "--out", tmp_path / "out")["summary.csv"])
    better = better[better.task == "mixed"].set_index("method").improvement
    assert better["glam-none"] == 1  # than PPO with a memory, the reference where there is no other PPO
    assert pd.isna(better["ppo-film_lstm"])
