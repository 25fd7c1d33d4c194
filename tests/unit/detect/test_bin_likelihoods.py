"""Log likelihoods of one bin: each kind of value is likeliest at its own depth."""

import numpy as np
import pytest

from netwatch.detect.bayes_filter import DEPTHS
from netwatch.detect.bin_likelihoods import (
    binomial_log_likelihood,
    count_log_likelihood,
    ratio_log_likelihood,
)

ONE = np.array([1.0])


@pytest.mark.parametrize("depth", [0.03, 0.28, 0.56])
def test_evidence_of_a_depth_is_best_at_that_depth(depth: float) -> None:
    evidence = ratio_log_likelihood(np.array([depth]), ONE * 0.05, ONE * 4)[0]
    assert DEPTHS[evidence.argmax()] == depth
    shares = binomial_log_likelihood(np.array([0.8 * depth]), ONE * 200, ONE * 0.8)[0]
    assert DEPTHS[shares.argmax()] == depth


def test_an_empty_bin_is_stronger_evidence_by_counts_than_by_a_normal_curve() -> None:
    """Six are expected: none at all is e^-6 likely if all is well, and certain if all is cut."""
    evidence = count_log_likelihood(np.zeros(1), ONE * 6)[0]
    whole, cut = np.flatnonzero(DEPTHS == 1)[0], 0
    assert evidence[cut] - evidence[whole] == pytest.approx(6, abs=0.2)
    bell = ratio_log_likelihood(np.zeros(1), ONE / np.sqrt(6), ONE * 4)[0]
    assert bell[cut] - bell[whole] < 4.5


@pytest.mark.parametrize("depth", [0.03, 0.28, 0.56, 1.0])
def test_counts_are_most_likely_at_their_own_depth(depth: float) -> None:
    evidence = count_log_likelihood(np.array([depth]), ONE * 8)[0]
    assert DEPTHS[evidence.argmax()] == pytest.approx(depth)
