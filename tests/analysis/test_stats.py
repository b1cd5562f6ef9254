"""Statistics over runs, against values computed by hand or by enumeration."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twosome.report.statistics.estimates import Bootstrap, difference, improvement, iqm, mean_std, over_runs, pooled_iqm

VALUES = st.lists(st.floats(-1, 1), min_size=1, max_size=12).map(np.array)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.3], 0.3),
        ([0.0, 0.3, 0.9], 0.4),  # floor(3 / 4) = 0 are cut: the mean
        ([9.0, 0.1, 0.3, -9.0], 0.2),
        ([0, 1, 2, 3, 100], 2.0),  # floor(5 / 4) = 1 from each end
        ([100, 0, 1, 2, 3, 4, 5, 50], 3.5),  # 2 from each end: 2, 3, 4, 5
    ],
)
def test_iqm_by_hand(values, expected):
    assert iqm(np.array(values, dtype=float)) == pytest.approx(expected)


def test_iqm_does_not_cut_what_is_missing():
    assert np.isnan(iqm(np.array([0.1, 0.2, 0.3, np.nan])))
    found = Bootstrap(100).estimate(pooled_iqm, [np.array([0.1, 0.2, 0.3, np.nan])])
    assert np.isnan([found.center, found.low, found.high]).all()


def test_iqm_is_over_runs_not_points():
    assert iqm(np.array([[0.0, 1.0, 2.0, 9.0], [10.0, 11.0, 12.0, 99.0]])).tolist() == [1.5, 11.5]


@given(VALUES, st.randoms())
def test_iqm_lies_within_and_knows_no_order(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    assert values.min() - 1e-12 <= iqm(values) <= values.max() + 1e-12
    assert iqm(np.array(shuffled)) == pytest.approx(iqm(values), abs=1e-12)


def test_interval_is_that_of_all_resamples():
    """Four runs have 256 resamples, all of which can be listed."""
    values = np.array([0.1, 0.5, 0.6, 0.8])
    means = [iqm(np.array(drawn)) for drawn in itertools.product(values, repeat=4)]
    found = Bootstrap(20_000, seed=3).estimate(pooled_iqm, [values])
    assert found.center == pytest.approx(0.55)
    assert found.low == pytest.approx(np.quantile(means, 0.025), abs=0.01)
    assert found.high == pytest.approx(np.quantile(means, 0.975), abs=0.01)


def test_interval_of_three_runs_is_their_range():
    found = Bootstrap().estimate(pooled_iqm, [np.array([0.2, 0.5, 0.9])])
    assert (found.low, found.high) == pytest.approx((0.2, 0.9))


def test_runs_are_drawn_whole():
    """Each point of a curve is that of the same runs: where two curves add up to 1 at both points, all means do."""
    found = Bootstrap(200).estimate(pooled_iqm, [np.array([[0.2, 0.8], [0.4, 0.6]])])
    assert found.center.tolist() == pytest.approx([0.3, 0.7])
    assert (found.low + found.high[::-1]).tolist() == pytest.approx([1, 1])
    sums = Bootstrap(200).estimate(lambda strata: pooled_iqm(strata).sum(axis=0), [np.array([[0.2, 0.8], [0.4, 0.6]])])
    assert (sums.low, sums.high) == pytest.approx((1, 1))


@pytest.mark.parametrize("many_first", [True, False])
def test_a_stratum_of_one_run_is_always_drawn(many_first):
    """The interval is that of the other stratum, in whichever order they are."""
    strata = [np.array([0.2, 0.5, 0.9]), np.array([0.1])]
    found = Bootstrap().estimate(difference, strata if many_first else strata[::-1])
    ends = (0.1, 0.8) if many_first else (-0.8, -0.1)
    assert (found.low, found.high) == pytest.approx(ends)
    whole = Bootstrap().estimate(difference, [strata[1], strata[1] + 0.5])
    assert (whole.low, whole.center, whole.high) == pytest.approx((-0.5, -0.5, -0.5))


def test_strata_are_resampled_apart():
    """Runs of one task never stand in for those of another: whatever is drawn, half of the runs are 0 and half are 1."""
    found = Bootstrap(200).estimate(pooled_iqm, [np.zeros(4), np.ones(4)])
    assert (found.low, found.center, found.high) == (0.5, 0.5, 0.5)


def test_resampling_depends_on_its_seed_only():
    values = [np.random.default_rng(0).normal(size=9)]
    first, again, other = (Bootstrap(100, seed).estimate(pooled_iqm, values) for seed in (1, 1, 2))
    assert (first.low, first.high) == (again.low, again.high)
    assert (first.low, first.high) != (other.low, other.high)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3], [0, 0, 0], 1.0),
        ([1, 3], [2, 2], 0.5),
        ([1, 1], [1, 0], 0.75),  # two ties of four pairs count half, the other two are won
        ([-math.inf, -5.0], [-math.inf, -math.inf], 0.75),  # never reached ties with never reached
    ],
)
def test_improvement_by_hand(x, y, expected):
    assert improvement([np.array(x, float), np.array(y, float)]) == expected


def test_improvement_is_the_mean_over_tasks():
    won, lost = (np.array([2.0, 3.0]), np.array([1.0])), (np.array([0.0]), np.array([1.0, 1.0, 1.0]))
    assert improvement([*won, *lost]) == 0.5


@given(VALUES, VALUES)
def test_improvement_of_one_is_the_others_loss(x, y):
    assert improvement([x, y]) + improvement([y, x]) == pytest.approx(1)


def test_difference_is_of_interquartile_means():
    assert difference([np.array([1.0, 2.0, 6.0]), np.array([1.0])]) == pytest.approx(2.0)


def test_mean_and_population_std():
    found = mean_std(np.array([1.0, 2.0, 3.0]))
    assert found.high - found.center == pytest.approx(math.sqrt(2 / 3))  # not sqrt(1), the sample's


@pytest.mark.parametrize("stat", ["iqm", "mean-std"])
def test_one_run_has_no_band(stat):
    found = over_runs(np.array([[0.1, 0.2]]), stat, Bootstrap())
    assert found.center.tolist() == [0.1, 0.2]
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()
