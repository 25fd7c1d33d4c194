"""Bins whose vantages contradict each other move no probability, no baseline and no incident."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from incident_fixtures import RULES
from series import COUNTRY, START, country_atlas, key

from netwatch.detect.detector import BayesFilterDetector
from netwatch.incidents.tracker import Tracker
from netwatch.model.percent import PercentForm, make_percent
from netwatch.model.series import UNDECIDED_INTERVAL, UNDECIDED_TRIALS, Bin, Level

WIDTH = timedelta(minutes=5)
NETWORKS = 6
QUIET = 60
"""Intervals that the detector learns from."""


class Country:
    """Six networks of equal weight, a detector and a tracker."""

    def __init__(self) -> None:
        tree = country_atlas(NETWORKS)
        self._detector = BayesFilterDetector(tree, width=WIDTH, min_history=WIDTH * 40)
        self._tracker = Tracker(tree, width=WIDTH, config=RULES)
        self._random = np.random.default_rng(1)
        self._number = 0
        self.revisions = self._tracker.step([])
        for _ in range(QUIET):
            self.step([1.0] * NETWORKS)

    def step(self, shares: Sequence[float], undecided: Sequence[int] = ()) -> dict[str, Level]:
        """Count one interval in which networks have these shares; return its levels."""
        time = START + self._number * WIDTH
        self._number += 1
        bins = []
        for number, share in enumerate(shares):
            answers = self._random.binomial(40, 0.97) * share
            scale = UNDECIDED_TRIALS / 40 if number in undecided else 1.0
            series = key(f"asn:{64496 + number}", "reachability")
            bins.append(Bin(time, series, answers * scale, 40 * scale))
        levels = self._detector.step(time, bins, frozen=self._tracker.frozen())
        self.revisions += self._tracker.step(levels)
        return {str(one.entity): one for one in levels if one.series.signal == "reachability"}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_days_of_contradictions_are_neither_an_outage_nor_ordinary(share: float) -> None:
    country = Country()
    for _ in range(200):
        levels = country.step([share] * NETWORKS, range(NETWORKS))
    assert country.revisions == []
    for level in (levels["asn:64496"], levels[str(COUNTRY)]):
        assert (level.low, level.high) == UNDECIDED_INTERVAL
        assert level.is_undecided
        assert level.value == pytest.approx(share, abs=0.1)
        assert level.probability < 0.5
        assert level.interval
        percent = make_percent(*level.interval, networks=NETWORKS)
        assert (percent.form, percent.number) == (PercentForm.UNDECIDED, None)
    # Nothing was learned: the loss of all networks is an incident as before.
    for _ in range(12):
        country.step([0.0] * NETWORKS)
    assert {one.entity for one in country.revisions} == {COUNTRY}


def test_contradictions_do_not_end_an_incident() -> None:
    country = Country()
    for _ in range(12):
        country.step([0.0] * NETWORKS)
    before = list(country.revisions)
    assert before
    for _ in range(12):
        country.step([1.0] * NETWORKS, range(NETWORKS))
    assert country.revisions == before


def test_a_country_is_the_mean_of_its_decided_networks_with_a_wider_interval() -> None:
    country = Country()
    sure = country.step([1.0] * NETWORKS)[str(COUNTRY)]
    level = country.step([1.0] * 5 + [0.0], [5])[str(COUNTRY)]
    assert level.value == pytest.approx(sure.value, abs=0.05)
    assert not level.is_undecided
    assert level.low is not None
    assert level.high is not None
    assert math.isclose(level.high - level.low, 1.25 / 6, abs_tol=0.06)
    lost = country.step([0.0] * 5 + [1.0], [5])[str(COUNTRY)]
    assert lost.value == 0
    assert lost.high == pytest.approx(1.25 / 6)


def test_only_the_whole_interval_is_undecided() -> None:
    level = Level(START, key("asn:1"), 0.5, 0.1, 0.9)
    assert not level.is_undecided
    assert replace(level, low=UNDECIDED_INTERVAL[0], high=UNDECIDED_INTERVAL[1]).is_undecided
