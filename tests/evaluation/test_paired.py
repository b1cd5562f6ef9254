"""Paired statistics against figures computed by hand, by enumeration and by numerical maximisation."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twosome import seeding
from twosome.evaluation.retention.paired import bootstrap, compare, loss_bound, mcnemar


@pytest.mark.parametrize(
    ("lost", "gained", "p_value"),
    [(0, 0, 1), (1, 0, 1), (3, 0, 2 / 8), (0, 5, 2 / 32), (5, 1, 2 * (1 + 6) / 64), (2, 2, 1), (2, 8, 2 * (1 + 10 + 45) / 1024)],
)
def test_mcnemar_by_hand(lost, gained, p_value):
    assert mcnemar(lost, gained) == pytest.approx(p_value, rel=1e-12)


def test_compare_by_hand():
    before = [True, True, True, False, False, True, False, True]
    after = [True, False, True, True, False, False, False, False]
    paired = compare(before, after)
    figures = {"items": 8, "before": 5 / 8, "after": 3 / 8, "difference": -2 / 8, "lost": 3, "gained": 1}
    assert paired | figures | {"p_value": 2 * (1 + 4) / 16} == paired
    assert paired["interval"][0] < -2 / 8 < paired["interval"][1]
    assert paired["no_loss_above"] > 2 / 8
    assert compare(before, after) == paired


def test_nothing_changed_is_not_certainty():
    paired = compare([True] * 100, [True] * 100)
    assert (paired["interval"], paired["p_value"]) == ((0, 0), 1)
    assert paired["no_loss_above"] == pytest.approx(1.959964**2 / (100 + 1.959964**2), rel=1e-5)


@pytest.mark.parametrize(("items", "lost", "gained"), [(160, 9, 7), (160, 0, 5), (40, 6, 0), (300, 30, 12), (25, 3, 3)])
def test_loss_bound_is_where_the_score_test_rejects(items, lost, gained):
    """The restricted likelihood is maximised on a grid instead of by Tango's formula."""
    loss = loss_bound(items, lost, gained)
    shares = np.linspace(max(0, -loss) + 1e-9, (1 - loss) / 2 - 1e-9, 2_000_001)  # of the gained, under the hypothesis
    likelihood = lost * np.log(shares + loss) + gained * np.log(shares)
    likelihood += (items - lost - gained) * np.log1p(-2 * shares - loss)
    share = shares[likelihood.argmax()]
    score = (lost - gained - items * loss) / sqrt(items * (2 * share + loss * (1 - loss)))
    assert score == pytest.approx(-1.959964, abs=1e-3)


@given(st.integers(1, 60), st.data())
def test_loss_bound_lies_above_the_loss_seen(items, data):
    lost = data.draw(st.integers(0, items))
    gained = data.draw(st.integers(0, items - lost))
    assert (lost - gained) / items <= loss_bound(items, lost, gained) <= 1


def test_bootstrap_of_a_mean_has_the_spread_that_theory_says():
    values = np.random.default_rng(3).normal(size=(400, 1))
    low, high = bootstrap(values, lambda sums: sums[:, 0] / 400)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_bootstrap_keeps_what_stands_in_one_row_together():
    units = np.arange(1.0, 31.0)[:, None] * [2.0, 1.0]
    assert bootstrap(units, lambda sums: sums[:, 0] / sums[:, 1]) == (2, 2)


def test_bootstrap_in_blocks_is_the_same_as_at_once():
    units = np.random.default_rng(0).normal(size=(500, 1))  # 4,000 resamples at a time
    drawn = np.random.default_rng(seeding.stream(7, "bootstrap")).integers(500, size=(10_000, 500))
    expected = np.quantile(units[:, 0][drawn].sum(axis=1), [0.025, 0.975])
    assert bootstrap(units, lambda sums: sums[:, 0], seed=7) == pytest.approx(tuple(expected), rel=1e-12)
