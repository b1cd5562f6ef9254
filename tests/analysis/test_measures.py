"""Measures of one run and its smoothed curve, against its raw episodes."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from analysis_tools import MEASURES, NUM_ENVS, OPTIMUM, make_run, rising

from twosome.report import measures
from twosome.report.records import BIN
from twosome.report.runs import by_task, read, read_folder
from twosome.report.statistics import Estimator, smoothed, windows

WINDOW = 1024


def test_smoothed_is_the_mean_of_the_last_window(tmp_path):
    noise = np.random.default_rng(0).normal(size=200).tolist()
    folder = make_run(tmp_path / "run", curve=noise, steps=8000)
    at, values = smoothed(read_folder(folder), WINDOW)
    _, success = smoothed(read_folder(folder), WINDOW, "successes")
    episodes = pd.read_csv(folder / "episodes.csv")
    assert (at[0], at[-1], set(np.diff(at))) == (WINDOW, 7936, {WINDOW // 4})  # the last whole bin
    for step, value, share in zip(at, values, success, strict=True):
        began = episodes.env_step - NUM_ENVS * episodes.decisions
        last = episodes[(began >= step - WINDOW) & (began < step)]
        assert value == pytest.approx(last.discounted_return.mean(), abs=1e-5)
        assert share == last.success.mean()


def test_without_episodes_there_is_no_value(tmp_path):
    run = read_folder(make_run(tmp_path, curve=[], steps=32))
    assert np.isnan(smoothed(run, 4096)[1]).all()
    assert math.isnan(measures.final(run, 4096))
    assert math.isnan(measures.fall(run, 4096))
    assert measures.steps_to_good(run, 4096) == math.inf


def test_steps_until_90_percent_of_the_optimum(tmp_path):
    just = 0.9 * OPTIMUM + 0.001
    run = read_folder(make_run(tmp_path / "reaches", curve=lambda step: just if 3072 < step <= 5120 else 0.0))
    assert measures.steps_to_good(run, BIN) == 3072 + BIN  # the first whole bin; that it falls again does not count
    assert measures.steps_to_good(run, WINDOW) == 4096
    never = read_folder(make_run(tmp_path / "never", curve=lambda step: 0.9 * OPTIMUM - 0.001))
    assert measures.steps_to_good(never, WINDOW) == math.inf
    blind = read_folder(make_run(tmp_path / "blind", after=None))
    assert math.isnan(measures.steps_to_good(blind, WINDOW))  # no evaluation says what the optimum is


def test_area_is_the_mean_of_the_curve(tmp_path):
    run = read_folder(make_run(tmp_path / "0", curve=lambda step: 0.9 if step > 6144 else 0.3))  # above 0.4 is a success
    assert MEASURES["area of success"](run, BIN) == pytest.approx(0.25, abs=0.02)
    assert MEASURES["area"](run, BIN) == pytest.approx(0.45, abs=0.02)
    run = read_folder(make_run(tmp_path / "1", curve=lambda step: step / 8192))
    at, values = smoothed(run, BIN)
    assert measures.area(run, BIN) == pytest.approx((values[0] + values[-1]) / 2)
    assert measures.area(run, BIN, share=0.5) == pytest.approx((values[0] + values[at == 4096][0]) / 2)
    assert measures.area(run, 4096, share=0.1) == smoothed(run, 4096)[1][0]  # a share that is shorter than the window


def test_fall_is_the_largest_below_an_earlier_value(tmp_path):
    """Up to 0.8, down to 0.3, up to 0.7, down to 0.5: it falls by 0.5 and by 0.2."""
    run = read_folder(make_run(tmp_path / "falls", curve=lambda step: (0.8, 0.3, 0.7, 0.5)[(step - 1) // 2048]))
    assert measures.fall(run, WINDOW) == pytest.approx(0.5)
    assert measures.fall(read_folder(make_run(tmp_path / "rises", curve=rising(0.9, 1000))), WINDOW) == 0


@pytest.mark.parametrize("kind", ["saycan-oracle", "clone"])
def test_without_a_curve_of_its_own_the_evaluation_counts(tmp_path, kind):
    """The returns of a clone's training are its demonstrator's."""
    if kind == "saycan-oracle":
        folder = make_run(tmp_path, kind, steps=0, after=0.3)
    else:
        folder = make_run(tmp_path, "twosome-word", curve=lambda step: 0.9, after=0.3)
        provenance = json.loads((folder / "provenance.json").read_text()) | {"actor": "demonstrator"}
        (folder / "provenance.json").write_text(json.dumps(provenance))
    run = read_folder(folder)
    assert (measures.final(run, WINDOW), measures.final(run, WINDOW, success=True)) == (0.3, 0.75)
    assert all(math.isnan(measure(run, WINDOW)) for measure in (measures.area, measures.fall, measures.steps_to_good))


def test_band_of_one_evaluation_is_that_of_its_episodes(tmp_path):
    """100 episodes with a standard deviation of 0.1; other seeds that played the same episodes add nothing."""
    runs = [read_folder(make_run(tmp_path / str(seed), "random", seed, steps=0, after=0.3)) for seed in (0, 1)]
    for some in (runs[:1], runs):
        interval = measures.level(some, WINDOW, Estimator())
        assert (interval.low, interval.high) == pytest.approx((0.3 - 0.0196, 0.3 + 0.0196), abs=1e-5)
        spread = measures.level(some, WINDOW, Estimator("mean-std"))
        assert (spread.low, spread.high) == pytest.approx((0.2, 0.4))
    runs.append(read_folder(make_run(tmp_path / "2", "random", 2, steps=0, after=0.6)))
    assert measures.level(runs, WINDOW, Estimator()).center == pytest.approx(0.4)


def test_runs_of_a_task_share_the_window_of_the_shortest(tmp_path):
    for number, steps in enumerate((1024, 8192)):
        make_run(tmp_path / str(number), ("twosome-word", "ppo")[number], steps=steps)
    make_run(tmp_path / "random", "random", steps=0)  # does not train, so that its length is none
    for number, (steps, window) in enumerate([(256, 256), (300, 256), (4097, 2048), (8191, 3840), (8192, 4096)]):
        make_run(tmp_path / f"alone-{number}", steps=steps, task=f"t{number}")
        assert windows(by_task(read([tmp_path])), 4096)[f"t{number}"] == window
    assert windows(by_task(read([tmp_path])), 4096)["tomato_salad"] == 512
