"""What is measured of one run, against its raw episodes."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from analysis_tools import MEASURES, NUM_ENVS, OPTIMUM, make_run, rising

from twosome.errors import UserError
from twosome.report.data.run import BIN
from twosome.report.data.run_folder import read_folder
from twosome.report.statistics import measures, smoothing
from twosome.report.statistics.estimates import Bootstrap

WINDOW = 1024


@pytest.fixture
def noisy(tmp_path):
    """A run's folder with returns that differ from episode to episode."""
    random = np.random.default_rng(0)
    return make_run(tmp_path / "run", curve=random.normal(size=200).tolist(), steps=8000)


def test_smoothed_is_the_mean_of_the_last_window(noisy):
    at, values = smoothing.smoothed(read_folder(noisy), WINDOW)
    _, success = smoothing.smoothed(read_folder(noisy), WINDOW, "successes")
    episodes = pd.read_csv(noisy / "episodes.csv")
    assert at[-1] == 7936  # the last whole bin
    assert at[0] == WINDOW
    assert set(np.diff(at)) == {WINDOW // 4}
    for step, value, share in zip(at, values, success, strict=True):
        began = episodes.env_step - NUM_ENVS * episodes.decisions
        last = episodes[(began >= step - WINDOW) & (began < step)]
        assert value == pytest.approx(last.discounted_return.mean(), abs=1e-5)
        assert share == last.success.mean()


def test_run_shorter_than_the_window_has_one_point(tmp_path):
    at, values = smoothing.smoothed(read_folder(make_run(tmp_path, steps=512)), 4096)
    assert at.tolist() == [512]
    assert values.tolist() == [0.5]


def test_without_episodes_there_is_no_value(tmp_path):
    run = read_folder(make_run(tmp_path, curve=[], steps=32))
    _, values = smoothing.smoothed(run, 4096)
    assert np.isnan(values).all()
    assert math.isnan(measures.final_return(run, 4096))
    assert math.isnan(measures.fall(run, 4096))
    assert measures.steps_to_good(run, 4096) == math.inf


def test_final_numbers_are_those_of_the_last_window(tmp_path):
    run = read_folder(make_run(tmp_path, curve=lambda step: 0.9 if step > 8192 - WINDOW else 0.0))
    assert measures.final_return(run, WINDOW) == pytest.approx(0.9)
    assert measures.final_success(run, WINDOW) == 1
    assert measures.final_return(run, 2 * WINDOW) == pytest.approx(0.45)


def test_steps_until_90_percent_of_the_optimum(tmp_path):
    just = 0.9 * OPTIMUM + 0.001
    run = read_folder(make_run(tmp_path / "reaches", curve=lambda step: just if 3072 < step <= 5120 else 0.0))
    assert measures.steps_to_good(run, BIN) == 3072 + BIN  # the first whole bin; that it falls again does not count
    assert measures.steps_to_good(run, WINDOW) == 4096
    never = read_folder(make_run(tmp_path / "never", curve=lambda step: 0.9 * OPTIMUM - 0.001))
    assert measures.steps_to_good(never, WINDOW) == math.inf
    blind = read_folder(make_run(tmp_path / "blind", after=None))
    assert math.isnan(measures.steps_to_good(blind, WINDOW))  # no evaluation says what the optimum is


def test_area_of_success_is_the_mean_of_the_curve_of_success(tmp_path):
    run = read_folder(make_run(tmp_path, curve=lambda step: 0.9 if step > 6144 else 0.3))  # above 0.4 is a success
    _, values = smoothing.smoothed(run, BIN, "successes")
    assert set(values) == {0, 1}
    assert MEASURES["area of success"](run, BIN) == pytest.approx(0.25, abs=0.02)
    assert MEASURES["area"](run, BIN) == pytest.approx(0.45, abs=0.02)


def test_area_of_a_straight_line_is_its_middle(tmp_path):
    run = read_folder(make_run(tmp_path, curve=lambda step: step / 8192))
    at, values = smoothing.smoothed(run, BIN)
    assert measures.area(run, BIN) == pytest.approx((values[0] + values[-1]) / 2)
    assert measures.area(run, BIN, share=0.5) == pytest.approx((values[0] + values[at == 4096][0]) / 2)
    first = smoothing.smoothed(run, 4096)[1]
    assert measures.area(run, 4096, share=0.1) == first[~np.isnan(first)][0]  # a share that is shorter than the window


def test_fall_is_the_largest_below_an_earlier_value(tmp_path):
    """Up to 0.8, down to 0.3, up to 0.7, down to 0.5: it falls by 0.5 and by 0.2."""
    run = read_folder(make_run(tmp_path / "falls", curve=lambda step: (0.8, 0.3, 0.7, 0.5)[(step - 1) // 2048]))
    assert measures.fall(run, WINDOW) == pytest.approx(0.5)
    assert measures.fall(read_folder(make_run(tmp_path / "rises", curve=rising(0.9, 1000))), WINDOW) == 0


def test_only_evaluated_policy(tmp_path):
    run = read_folder(make_run(tmp_path, "saycan-oracle", steps=0, after=0.3))
    assert measures.final_return(run, WINDOW) == 0.3
    assert measures.final_success(run, WINDOW) == 0.75
    assert all(math.isnan(measure(run, WINDOW)) for measure in (measures.area, measures.fall, measures.steps_to_good))


@pytest.mark.parametrize("recorded", [True, False])
def test_the_returns_of_a_clones_training_are_its_demonstrators(tmp_path, recorded):
    """A folder that does not say who acted is one of a version before it was recorded: then its algorithm says it."""
    folder = make_run(tmp_path, "twosome-word", curve=lambda step: 0.9, after=0.3)
    name = "provenance.json" if recorded else "choices.json"
    known = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(known | ({"actor": "demonstrator"} if recorded else {"algorithm": "bc"})))
    run = read_folder(folder)
    assert run.steps == 8192
    assert measures.final_return(run, WINDOW) == 0.3
    assert measures.final_success(run, WINDOW) == 0.75
    assert all(math.isnan(measure(run, WINDOW)) for measure in (measures.area, measures.fall, measures.steps_to_good))


def test_band_of_one_evaluation_is_that_of_its_episodes(tmp_path):
    """100 episodes with a standard deviation of 0.1; other seeds that played the same episodes add nothing."""
    runs = [read_folder(make_run(tmp_path / str(seed), "random", seed, steps=0, after=0.3)) for seed in (0, 1)]
    for some in (runs[:1], runs):
        interval = measures.level(some, WINDOW, "iqm", Bootstrap())
        assert (interval.low, interval.high) == pytest.approx((0.3 - 0.0196, 0.3 + 0.0196), abs=1e-5)
        spread = measures.level(some, WINDOW, "mean-std", Bootstrap())
        assert (spread.low, spread.high) == pytest.approx((0.2, 0.4))
    runs.append(read_folder(make_run(tmp_path / "2", "random", 2, steps=0, after=0.6)))
    assert measures.level(runs, WINDOW, "iqm", Bootstrap()).center == pytest.approx(0.4)


def test_window_is_a_number_of_bins():
    smoothing.check_window(2 * BIN)
    with pytest.raises(UserError, match="--window 1000: expected a multiple of 256 environment steps, as 1024"):
        smoothing.check_window(1000)
