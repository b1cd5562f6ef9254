"""Statistics over runs, against values computed by hand or by enumeration."""

import itertools
import math

import numpy as np
import pytest

from twosome.report.statistics import Z95, Estimator, difference, improvement, iqm, pooled_iqm, wilson


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
    found = Estimator(samples=100).bootstrap(pooled_iqm, [np.array([0.1, 0.2, 0.3, np.nan])])
    assert np.isnan([found.center, found.low, found.high]).all()


def test_interval_is_that_of_all_resamples():
    """Four runs have 256 resamples, all of which can be listed."""
    values = np.array([0.1, 0.5, 0.6, 0.8])
    means = [iqm(np.array(drawn)) for drawn in itertools.product(values, repeat=4)]
    found = Estimator(samples=20_000, seed=3).bootstrap(pooled_iqm, [values])
    assert found.center == pytest.approx(0.55)
    assert found.low == pytest.approx(np.quantile(means, 0.025), abs=0.01)
    assert found.high == pytest.approx(np.quantile(means, 0.975), abs=0.01)


@pytest.mark.parametrize("many_first", [True, False])
def test_a_stratum_of_one_run_is_always_drawn(many_first):
    """The interval is that of the other stratum, in whichever order they are."""
    strata = [np.array([0.2, 0.5, 0.9]), np.array([0.1])]
    found = Estimator().bootstrap(difference, strata if many_first else strata[::-1])
    ends = (0.1, 0.8) if many_first else (-0.8, -0.1)
    assert (found.low, found.high) == pytest.approx(ends)
    whole = Estimator().bootstrap(difference, [strata[1], strata[1] + 0.5])
    assert (whole.low, whole.center, whole.high) == pytest.approx((-0.5, -0.5, -0.5))


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


def test_mean_and_population_std():
    found = Estimator("mean-std").over_runs(np.array([1.0, 2.0, 3.0]))
    assert found.high - found.center == pytest.approx(math.sqrt(2 / 3))  # not sqrt(1), the sample's


@pytest.mark.parametrize("stat", ["iqm", "mean-std"])
def test_one_run_has_no_band(stat):
    found = Estimator(stat).over_runs(np.array([[0.1, 0.2]]))
    assert found.center.tolist() == [0.1, 0.2]
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()


def test_wilson_by_hand():
    """Worked out from (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n); at the ends, n / (n + z^2)."""
    for successes, trials, low, high in ((5, 10, 0.2366, 0.7634), (1, 10, 0.0179, 0.4042), (66, 100, 0.5628, 0.7454)):
        found = [float(end) for end in vars(wilson(successes, trials)).values()]
        assert found == pytest.approx([successes / trials, low, high], abs=1e-4)
    assert float(wilson(300, 300).low) == pytest.approx(300 / (300 + Z95**2))
    assert float(wilson(0, 7).high) == pytest.approx(Z95**2 / (7 + Z95**2))
