"""The Bayes filter: time is continuous, evidence moves belief, silence does not."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.arrays import Floats
from netwatch.detect.bayes_filter import (
    DEPTHS,
    IS_ORDINARY,
    NEW_SERIES,
    LossChain,
    Posterior,
    apply_evidence,
    loss_depth,
    multiply_rows,
    ordinary_probability,
    transition_matrix,
)
from netwatch.detect.bin_likelihoods import binomial_log_likelihood, ratio_log_likelihood

WIDTHS = [timedelta(seconds=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=1)]
ONE = np.array([1.0])
NO_ROWS = np.zeros(0, np.intp)
FIVE_MINUTES = LossChain(timedelta(minutes=5))


def update(chain: LossChain, posterior: Posterior, evidence: Floats) -> Posterior:
    """Return the posterior after one more bin, without a forecast."""
    return apply_evidence(chain.advance(posterior, NO_ROWS), evidence)


@pytest.mark.parametrize("width", WIDTHS, ids=str)
def test_every_row_of_the_matrix_is_a_distribution(width: timedelta) -> None:
    matrix = transition_matrix(width)
    assert matrix.shape == (len(DEPTHS), len(DEPTHS))
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)


def test_one_minute_is_sixty_seconds() -> None:
    minute = transition_matrix(timedelta(minutes=1))
    seconds = np.linalg.matrix_power(transition_matrix(timedelta(seconds=1)), 60)
    np.testing.assert_allclose(minute, seconds, rtol=1e-6, atol=1e-12)


def test_an_hour_is_twelve_times_five_minutes() -> None:
    hour = transition_matrix(timedelta(hours=1))
    parts = np.linalg.matrix_power(transition_matrix(timedelta(minutes=5)), 12)
    np.testing.assert_allclose(hour, parts, rtol=1e-6, atol=1e-12)


def test_losses_begin_once_a_month_and_last_some_hours() -> None:
    hour = transition_matrix(timedelta(hours=1))
    lost = hour[IS_ORDINARY][:, ~IS_ORDINARY].sum(axis=1)
    np.testing.assert_allclose(lost, 1 / (28 * 24), rtol=0.15)
    back = hour[~IS_ORDINARY][:, IS_ORDINARY].sum(axis=1)
    assert (back > 0.14).all()
    assert (back < 0.18).all()


def test_a_new_series_is_thought_ordinary() -> None:
    belief = np.tile(NEW_SERIES, (3, 1))
    np.testing.assert_allclose(belief.sum(axis=1), 1)
    assert (ordinary_probability(belief) > 0.99).all()


def test_missing_data_only_applies_the_transition() -> None:
    belief, matrix = NEW_SERIES[None], transition_matrix(timedelta(minutes=5))
    silent = update(FIVE_MINUTES, belief, np.zeros((1, len(DEPTHS))))
    # Beliefs are kept in single precision: a third of the memory of many series.
    np.testing.assert_allclose(silent, belief @ matrix, rtol=1e-6)


def test_one_failed_trial_is_weak_evidence() -> None:
    evidence = binomial_log_likelihood(ONE * 0, ONE, ONE * 0.9)
    belief = update(FIVE_MINUTES, NEW_SERIES[None], evidence)
    assert ordinary_probability(belief)[0] > 0.9


def test_failed_trials_add_up_to_certainty_and_answers_revert_it() -> None:
    failed = binomial_log_likelihood(ONE * 0, ONE * 10, ONE * 0.9)
    answered = binomial_log_likelihood(ONE * 0.9, ONE * 10, ONE * 0.9)
    belief = NEW_SERIES[None]
    for _ in range(6):
        belief = update(FIVE_MINUTES, belief, failed)
    assert ordinary_probability(belief)[0] < 0.001
    for _ in range(6):
        belief = update(FIVE_MINUTES, belief, answered)
    assert ordinary_probability(belief)[0] > 0.99


@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=20),
    st.floats(0.02, 3),
    st.sampled_from(WIDTHS),
)
def test_belief_stays_a_distribution_for_any_input(
    ratios: list[float], spread: float, width: timedelta
) -> None:
    belief, chain = NEW_SERIES[None], LossChain(width)
    for ratio in ratios:
        evidence = ratio_log_likelihood(ONE * ratio, ONE * spread, ONE * 4)
        belief = update(chain, belief, evidence)
        assert np.isfinite(belief).all()
        assert (belief > 0).all()
        np.testing.assert_allclose(belief.sum(), 1, rtol=1e-6)


def test_no_probability_is_negative() -> None:
    belief = np.full((1, len(DEPTHS)), 1e-12, np.float32)
    belief[0, IS_ORDINARY] = np.float32(0.2) + np.float32(1e-8)
    assert ordinary_probability(belief)[0] <= 1


def test_a_row_does_not_depend_on_the_rows_it_is_updated_with() -> None:
    random = np.random.default_rng(4)
    belief = random.random((9000, len(DEPTHS))).astype(np.float32)
    evidence = random.normal(size=belief.shape)
    together = update(FIVE_MINUTES, belief, evidence)
    depths = loss_depth(together)
    for rows in (slice(0, 1), slice(3, 5), slice(4090, 4105), slice(8999, 9000)):
        alone = update(FIVE_MINUTES, belief[rows].copy(), evidence[rows].copy())
        assert alone.tobytes() == together[rows].tobytes()
        assert loss_depth(alone).tobytes() == depths[rows].tobytes()


def test_rows_are_multiplied_as_by_a_matrix_product() -> None:
    random = np.random.default_rng(5)
    rows, matrix = random.random((4097, 15)), random.random((15, 7))
    np.testing.assert_allclose(multiply_rows(rows, matrix), rows @ matrix, rtol=1e-13)


def test_a_forecast_makes_a_loss_likelier_in_its_rows_alone() -> None:
    posterior = np.tile(NEW_SERIES, (3, 1))
    plain = FIVE_MINUTES.advance(posterior, NO_ROWS)
    prior = FIVE_MINUTES.advance(posterior, np.array([1]))
    assert (prior[[0, 2]] == plain[[0, 2]]).all()
    assert ordinary_probability(prior)[1] < ordinary_probability(plain)[1]
