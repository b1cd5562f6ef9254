"""Runs that are shorter than --window: what is drawn and measured of them, and that the window is said."""

import numpy as np
import pandas as pd
import pytest
from analysis_tools import make_run, rising

import curves
import summary
from twosome.report import commands
from twosome.report.data import collection
from twosome.report.output.folder import Folder
from twosome.report.results import learning_curves
from twosome.report.statistics import smoothing


def options(*words):
    return curves.parser().parse_args([*map(str, words), "--bootstrap-samples", "20"])


def drawn(monkeypatch, folder):
    """The figures of runs at the default window, by name."""
    figures = {}
    monkeypatch.setattr(Folder, "figure", lambda out, name, figure: figures.setdefault(name, figure))
    curves.make(options(folder, "--out", folder / "out"))
    return figures


def seen(axes):
    """The curves that a reader sees: lines of two neighbouring points or more, and points."""
    lines = [np.isfinite(np.asarray(line.get_ydata(), float)) for line in axes.get_lines()]
    drawn = zip(lines, axes.get_lines(), strict=True)
    return sum(bool(there.any() if line.get_marker() == "." else (there[1:] & there[:-1]).any()) for there, line in drawn)


@pytest.mark.parametrize("steps", [256, 300, 512, 1024, 4096, 4097, 8191])
def test_a_short_run_is_drawn_with_the_window_that_is_said(tmp_path, monkeypatch, capsys, steps):
    make_run(tmp_path / "run", curve=rising(0.8, 500), steps=steps)
    window = max(256, steps // 256 // 2 * 256) if steps != 8191 else 3840  # whose curve ends at 7936
    for figure in drawn(monkeypatch, tmp_path).values():
        (axes,) = figure.axes
        assert seen(axes) == 2  # the curve, and the optimum
        assert f"mean of the episodes that began in the last {window:,}\n" in axes.get_xlabel()
        assert axes.get_title("right") == ""
    message = f"means look back over {window:,} environment steps instead of --window 4096, since the shortest curve has"
    assert (message in capsys.readouterr().err) == (window < 4096)


def test_a_long_run_keeps_the_window(tmp_path, monkeypatch, capsys):
    make_run(tmp_path / "run", curve=rising(0.8, 500), steps=8192)
    (axes,) = drawn(monkeypatch, tmp_path)["curves_norms"].axes
    assert "began in the last 4,096\n" in axes.get_xlabel()
    assert axes.get_lines()[0].get_xdata().tolist() == [4096, 5120, 6144, 7168, 8192]
    assert capsys.readouterr().err == ""


def test_panels_say_their_windows_where_these_differ(tmp_path, monkeypatch):
    make_run(tmp_path / "short", curve=rising(0.8, 500), steps=1024)
    make_run(tmp_path / "long", curve=rising(0.8, 500), steps=8192, task="tomato_lettuce_salad")
    short, long = drawn(monkeypatch, tmp_path)["curves_norms"].axes
    assert (short.get_title("right"), long.get_title("right")) == ("N = 512", "N = 4,096")
    assert "in the last N\n" in long.get_xlabel()


def test_runs_of_a_task_share_the_window_of_the_shortest(tmp_path):
    for number, steps in enumerate((1024, 8192)):
        make_run(tmp_path / str(number), ("twosome-word", "ppo")[number], curve=rising(0.8, 500), steps=steps)
    make_run(tmp_path / "random", "random", steps=0)  # does not train, so that its length is none
    found = smoothing.of_tasks(collection.by_task(collection.read([tmp_path])), 4096)
    assert found == {"tomato_salad": 512}
    curves.make(options(tmp_path, "--out", tmp_path / "out"))
    rows = pd.read_csv(tmp_path / "out" / "curves.csv").set_index("method")
    assert rows.loc["twosome-word"].env_steps.tolist() == [512, 768, 1024]
    assert rows.loc["ppo"].env_steps.tolist() == list(range(512, 8193, 256))


def test_what_no_episode_of_has_ended_is_neither_drawn_nor_in_the_legend(tmp_path, monkeypatch, capsys):
    make_run(tmp_path / "0", curve=[], steps=32)
    figures = drawn(monkeypatch, tmp_path)
    assert figures["curves_norms"].legends[0].get_texts() == []
    assert learning_curves.NOTHING in [text.get_text() for text in figures["curves_norms"].axes[0].texts]
    assert (
        "tomato_salad, twosome-word: not drawn, since not all episodes of its first 256 steps have ended"
        in capsys.readouterr().err
    )
    make_run(tmp_path / "1", "ppo", curve=lambda _: 0.5, steps=256)
    legend = drawn(monkeypatch, tmp_path)["curves_baselines"].legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["PPO from scratch"]


def test_a_run_that_was_stopped_before_its_first_update_is_no_obstacle(tmp_path, monkeypatch):
    make_run(tmp_path / "0", curve=rising(0.8, 500), steps=1024)
    begun = make_run(tmp_path / "1", curve=[], steps=32, seed=1)
    (begun / "metrics.csv").write_text("update,env_steps,rollout_seconds,update_seconds\n")
    assert collection.read([begun])[0].steps == 0
    axes = drawn(monkeypatch, tmp_path)["curves_norms"].axes[0]
    assert seen(axes) == 1  # the optimum: the curve goes as far as all of a method's runs


def test_tables_say_the_window_that_was_used(tmp_path):
    make_run(tmp_path / "0", curve=lambda step: step / 1024, steps=1024)
    made = summary.make(summary.parser().parse_args([str(tmp_path), "--out", str(tmp_path)]))
    text = made[0].read_text()
    assert "of the episodes that began in the last 512 environment steps of the curve" in text
    assert "fewer than twice the 4,096 steps of --window is given half of it" in text
    late = [step / 1024 for step in range(64, 1025, 64) if step > 512]
    assert pd.read_csv(made[1]).final_return[0] == pytest.approx(np.mean(late), abs=1e-5)
    make_run(tmp_path / "1", curve=lambda step: 0.5, steps=8192, task="another")
    text = summary.make(summary.parser().parse_args([str(tmp_path), "--out", str(tmp_path)]))[0].read_text()
    assert "in the last 4,096 (another) or 512 (tomato salad) environment steps" in text


def test_window_is_checked_before_anything_is_read(capsys):
    assert commands.run(curves.parser(), curves.make, ["/no/where", "--window", "1000"]) == 2
    assert "--window 1000: expected a multiple of 256" in capsys.readouterr().err


def test_many_short_tasks_are_reported_in_a_line(tmp_path, capsys):
    for number in range(5):
        make_run(tmp_path / str(number), steps=256 + 64 * number, task=f"t{number}")
    smoothing.warn_of_shorter(collection.by_task(collection.read([tmp_path])), 4096)
    message = (
        "warning: t0, t1, t2 and 2 more: means look back over 256 environment steps instead of --window 4096, since the shortest"
    )
    assert capsys.readouterr().err == f"{message} curve has 256\n"
