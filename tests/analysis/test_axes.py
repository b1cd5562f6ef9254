"""Curves against optimiser steps and seconds: by hand, and what is left out."""

import math

import numpy as np
import pandas as pd
import pytest
from analysis_tools import as_format_1, make_run

import curves
import summary
from twosome.report.data import published
from twosome.report.data.run_folder import read_folder
from twosome.report.output.folder import Folder
from twosome.report.statistics import axes, measures, smoothing
from twosome.report.statistics.axes import AXES, OPTIMIZER_STEPS, SECONDS

FEW = ["--window", "512", "--bootstrap-samples", "5"]


def make_paced(folder, updates, **options):
    """A run of 8192 steps whose return is the share of them at which an episode began; updates: rows of metrics.csv."""
    made = make_run(folder, curve=lambda end: (end - 64) / 8192, **options)
    head = "env_steps,optimizer_steps,rollout_seconds,update_seconds"
    (made / "metrics.csv").write_text("\n".join([head, *(",".join(map(str, row)) for row in updates)]) + "\n")
    return made


def drawn(folder, against, *words):
    """The rows that are drawn against an axis, by method."""
    assert curves.main([*map(str, folder), *FEW, "--against", against, "--out", str(folder[0] / "out"), *words]) == 0
    suffix = AXES[against].suffix
    return pd.read_csv(folder[0] / "out" / f"curves{suffix}.csv").set_index("method")


def test_a_run_goes_along_an_axis_at_its_own_pace(tmp_path):
    """Half of the steps take 10 optimiser steps and 2 seconds, the others 30 and 18."""
    run = read_folder(make_paced(tmp_path / "run", [(4096, 10, 1, 1), (8192, 40, 9, 9)]))
    at = np.array([2048, 4096, 6144, 8192])
    assert axes.along(run, OPTIMIZER_STEPS, at).tolist() == [5, 10, 25, 40]
    assert axes.along(run, SECONDS, at).tolist() == [1, 2, 11, 20]
    assert (axes.total(run, OPTIMIZER_STEPS), axes.total(run, SECONDS)) == (40, 20)
    steps, values = smoothing.smoothed(run, 512)
    rows = drawn([tmp_path], "optimizer_steps")
    np.testing.assert_allclose(rows.optimizer_steps, axes.along(run, OPTIMIZER_STEPS, steps), rtol=1e-4)
    np.testing.assert_allclose(rows.center, values, rtol=1e-4)


def test_seeds_are_averaged_at_equal_x(tmp_path):
    """One run takes twice as long as the other: where both are after 10 seconds, one has done half of what the other has."""
    make_paced(tmp_path / "fast", [(8192, 8, 5, 5)])
    make_paced(tmp_path / "slow", [(8192, 8, 10, 10)], seed=1)
    rows = drawn([tmp_path], "seconds", "--stat", "mean-std")
    assert rows.seconds.iloc[-1] == 10  # where the first of them ends
    assert rows.center.iloc[-1] == pytest.approx((0.96 + 0.46) / 2, abs=0.01)
    assert rows.seconds.is_monotonic_increasing
    steps = drawn([tmp_path], "optimizer_steps")
    assert steps.center.tolist() == pytest.approx(drawn([tmp_path], "env_steps").center.tolist(), abs=1e-4)


def test_a_pause_in_the_optimiser_steps_shows_the_last_value(tmp_path):
    run = read_folder(make_paced(tmp_path / "run", [(2048, 8, 1, 1), (6144, 8, 1, 1), (8192, 16, 1, 1)]))
    _, values = smoothing.smoothed(run, 512)
    rows = drawn([tmp_path], "optimizer_steps")
    assert rows.optimizer_steps.is_unique
    at, (after,) = smoothing.grid(run.end, 512), rows[rows.optimizer_steps == 8].center
    assert after == pytest.approx(values[at == 6144][0], abs=1e-4)


def test_runs_without_a_common_stretch_have_no_curve(tmp_path):
    make_paced(tmp_path / "fast", [(8192, 8, 0.001, 0.001)])
    make_paced(tmp_path / "slow", [(8192, 8, 100, 100)], seed=1)
    assert drawn([tmp_path], "seconds").center.isna().all()


def test_steps_to_good_along_each_axis(tmp_path):
    run = read_folder(make_paced(tmp_path / "run", [(4096, 10, 1, 1), (8192, 40, 9, 9)]))
    steps = measures.steps_to_good(run, 256)
    assert 4096 < steps < 8192
    assert measures.steps_to_good(run, 256, OPTIMIZER_STEPS) == pytest.approx(10 + 30 * (steps - 4096) / 4096)
    assert measures.steps_to_good(run, 256, SECONDS) == pytest.approx(2 + 18 * (steps - 4096) / 4096)
    assert summary.main([str(tmp_path), *FEW, "--out", str(tmp_path / "out")]) == 0
    row = pd.read_csv(tmp_path / "out" / "summary.csv").iloc[0]
    assert (row.optimizer_steps, row.seconds, row.steps) == (40, 20, 8192)
    assert 30 < row.optimizer_steps_to_good < 40
    assert 14 < row.seconds_to_good < 20
    assert "| 8,192 | 40 | 20 s |" in (tmp_path / "out" / "summary.md").read_text()


def test_a_run_without_the_column_is_left_out(tmp_path, capsys):
    """It has its seconds, and is drawn against these."""
    made = make_run(tmp_path / "old")
    text = (made / "metrics.csv").read_text()
    (made / "metrics.csv").write_text(text.replace("optimizer_steps", "policy_steps"))
    run = read_folder(made)
    assert math.isnan(run.optimizer_steps)
    assert not axes.known(run, OPTIMIZER_STEPS)
    make_run(tmp_path / "new", "ppo")
    assert set(drawn([tmp_path], "optimizer_steps").index) == {"ppo"}
    message = "Tomato salad (TWOSOME, word): left out, since optimiser steps of the policy are not recorded"
    assert f"warning: {message}\n" in capsys.readouterr().err
    assert set(drawn([tmp_path], "seconds").index) == {"ppo", "twosome-word"}
    assert message not in capsys.readouterr().err
    assert summary.main([str(tmp_path), *FEW, "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "summary.md").read_text()
    assert "Tomato salad (TWOSOME, word): optimiser steps of the policy up to a return are not recorded." in text


@pytest.mark.parametrize("against", [axis for axis in AXES if axis != "env_steps"])
def test_nothing_is_drawn_where_no_run_has_the_axis(tmp_path, against):
    published.write([read_folder(make_run(tmp_path / "run")), read_folder(make_run(tmp_path / "random", "random", steps=0))],
                    tmp_path / "old")  # fmt: skip
    words = [str(as_format_1(tmp_path / "old")), *FEW, "--against", against, "--out", str(tmp_path / "out")]
    assert curves.main(words) == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("axis", AXES.values())
def test_axes_of_a_figure(tmp_path, monkeypatch, axis):
    """What was only evaluated is a level line from side to side, and the paper's points are at environment steps."""
    figures = {}
    monkeypatch.setattr(Folder, "figure", lambda out, name, figure: figures.setdefault(name, figure))
    make_run(tmp_path / "run", steps=16_384, total_steps=16_384)
    make_run(tmp_path / "random", "random", steps=0, after=0.25)
    rows = drawn([tmp_path], axis.name)
    assert set(figures) == {f"curves_norms{axis.suffix}", f"curves_baselines{axis.suffix}"}
    (panel,) = figures[f"curves_baselines{axis.suffix}"].axes
    assert panel.get_xlabel().startswith(f"{axis.label}\nmean of the episodes that began in the last 512\n")
    assert panel.get_xscale() == ("log" if axis.log else "linear")
    assert panel.get_xlim() == pytest.approx((rows[axis.name].iloc[0] if axis.log else 0, rows[axis.name].max()), rel=1e-4)
    (level,) = [line for line in panel.get_lines() if list(line.get_ydata()) == [0.25, 0.25]]
    assert tuple(level.get_xdata()) == pytest.approx(panel.get_xlim())
    assert any(line.get_marker() == "o" for line in panel.get_lines()) == (axis.name == "env_steps")
