"""From networks to wider scopes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.detect.aggregation import AggregateLevels, aggregate, make_composites


def weigh(
    ratio: list[float],
    weights: list[float],
    *,
    usable: list[bool] | None = None,
    deviation: float = 0.1,
) -> AggregateLevels:
    """Weigh networks in rows 0, 1, … for one wider series in the row after them."""
    size = len(weights)
    composites = make_composites([(size, dict(enumerate(weights)))])
    return aggregate(
        composites,
        np.array([*ratio, np.nan]),
        np.array([*(usable or [True] * size), True]),
        np.full(size + 1, deviation**2),
    )


def test_a_level_is_the_weighted_mean() -> None:
    means = weigh([1.0, 0.0, 0.5], [6, 3, 1])
    assert (means.level[0], means.coverage[0], means.count[0]) == (pytest.approx(0.65), 1.0, 3)


def test_a_network_without_data_is_left_out_and_lowers_the_coverage() -> None:
    means = weigh([np.nan, 0.0, 0.5], [6, 3, 1])
    assert means.level[0] == pytest.approx(0.125)
    assert (means.coverage[0], means.count[0]) == (pytest.approx(0.4), 2)


def test_an_unusable_network_does_not_reduce_coverage() -> None:
    means = weigh([0, 1.0, 1.0], [6, 3, 1], usable=[False, True, True])
    assert (means.level[0], means.coverage[0], means.count[0]) == (1.0, 1.0, 2)


def test_without_any_data_there_is_no_level() -> None:
    means = weigh([np.nan] * 3, [6, 3, 1])
    assert np.isnan(means.level[0])
    assert (means.coverage[0], means.count[0]) == (0.0, 0)


def test_a_network_far_above_ordinary_hides_no_loss() -> None:
    assert weigh([9.0, 0.0, 0.0], [1, 1, 1]).level[0] < 0.5


def test_networks_that_agree_leave_no_doubt_and_others_do() -> None:
    assert weigh([1.0, 1.0, 1.0], [1, 1, 1]).error[0] == 0
    # Drawing 10 of 10 networks, half of them lost: sqrt(p (1 - p) / (n - 1)).
    halves = weigh([1.0, 0.0] * 5, [1] * 10)
    assert halves.error[0] == pytest.approx(np.sqrt(0.25 / 9))


def test_noise_of_equal_networks_falls_with_their_root() -> None:
    assert weigh([1.0], [5]).noise[0] == pytest.approx(0.1)
    assert weigh([1.0] * 25, [2] * 25).noise[0] == pytest.approx(0.1 / 5)


def test_wider_series_are_weighed_separately() -> None:
    composites = make_composites([(4, {0: 1, 1: 1}), (5, {1: 1, 2: 1, 3: 2})])
    ratio = np.array([1.0, 0.0, 1.0, 1.0, np.nan, np.nan])
    means = aggregate(composites, ratio, np.ones(6, dtype=bool), np.zeros(6))
    np.testing.assert_allclose(means.level, [0.5, 0.75])
    np.testing.assert_array_equal(means.count, [2, 3])


@given(
    st.lists(
        st.tuples(st.one_of(st.floats(0, 3), st.just(np.nan)), st.floats(0.1, 50)),
        min_size=1,
        max_size=30,
    )
)
def test_a_level_lies_within_those_of_its_networks(
    networks: list[tuple[float, float]],
) -> None:
    ratio, weights = [value for value, _ in networks], [weight for _, weight in networks]
    means, seen = weigh(ratio, weights), np.clip([r for r in ratio if not np.isnan(r)], 0, 1.25)
    assert means.count[0] == len(seen)
    assert 0 <= means.coverage[0] <= 1 + 1e-12
    if len(seen):
        assert seen.min() - 1e-9 <= means.level[0] <= seen.max() + 1e-9
        assert means.error[0] >= 0
