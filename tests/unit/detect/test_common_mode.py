"""A fall everywhere at once is a fault of the signal; a fall of all sites is not a blocked site."""

from datetime import timedelta

import numpy as np
from series import HOUR, hours, key, noisy, run

from netwatch.arrays import Bools, Floats
from netwatch.detect.common_mode import (
    Groups,
    common_site_outage,
    country_shifts,
    faulty_signals,
    rows_at_fault,
)
from netwatch.detect.detector import BayesFilterDetector
from netwatch.model.entities import EntityTree
from netwatch.model.series import Bin

WIDTH = timedelta(minutes=30)
COUNTRIES = np.repeat(np.arange(6), 5)
NETWORKS = Groups(np.zeros(30, np.intp), COUNTRIES, np.zeros(30, bool))
SITES = Groups(np.zeros(30, np.intp), COUNTRIES, np.ones(30, bool))
NORMAL = np.ones(30, bool)
NO_SCALE = np.zeros(0)


def faulty_rows(groups: Groups, ratio: Floats) -> Bools:
    """Return the rows at fault in the first bin of all."""
    shifts = country_shifts(groups, ratio, np.ones(len(ratio), bool))
    faulty, _ = faulty_signals(shifts, NO_SCALE, WIDTH)
    return rows_at_fault(groups, faulty)


def test_a_signal_that_falls_in_every_country_is_no_evidence() -> None:
    ratio = np.full(30, 0.65)
    assert faulty_rows(NETWORKS, ratio).all()


def test_a_fall_of_a_single_country_is_evidence() -> None:
    ratio = np.ones(30)
    ratio[COUNTRIES == 2] = 0.0
    assert not faulty_rows(NETWORKS, ratio).any()


def test_a_few_countries_are_not_a_control_group() -> None:
    few = Groups(np.zeros(15, np.intp), COUNTRIES[:15], np.zeros(15, bool))
    ratio = np.full(15, 0.1)
    assert not faulty_rows(few, ratio).any()


def test_two_signals_are_judged_separately() -> None:
    both = Groups(np.repeat([0, 1], 30), np.tile(COUNTRIES, 2), np.zeros(60, bool))
    ratio = np.concatenate([np.full(30, 0.6), np.ones(30)])
    bad = faulty_rows(both, ratio)
    assert bad[:30].all()
    assert not bad[30:].any()


def test_the_usual_shift_is_learned() -> None:
    """A signal that always sways by 3 % is not at fault when it does so again."""
    scale, shifts = NO_SCALE, country_shifts(NETWORKS, np.full(30, 0.985), NORMAL)
    for _ in range(40):
        faulty, scale = faulty_signals(shifts, scale, timedelta(days=1))
        assert not faulty.any()
    assert scale[0] < 0.02


def test_countries_judged_separately_give_the_same_levels() -> None:
    ratio = np.random.default_rng(1).normal(0.7, 0.05, 30)
    together = country_shifts(NETWORKS, ratio, NORMAL)
    parts = [COUNTRIES < 2, COUNTRIES >= 2]
    apart = [
        country_shifts(
            Groups(np.zeros(part.sum(), np.intp), COUNTRIES[part] - COUNTRIES[part].min(),
                   np.zeros(part.sum(), bool)),
            ratio[part], NORMAL[part],
        )
        for part in parts
    ]  # fmt: skip
    assert np.array_equal(np.hstack(apart), together)
    faulty, _ = faulty_signals(np.hstack(apart), NO_SCALE, WIDTH)
    assert faulty.all()
    assert faulty_rows(NETWORKS, ratio).all()


def test_an_entity_without_a_country_is_never_at_fault() -> None:
    somewhere = Groups(
        np.zeros(30, np.intp), np.where(COUNTRIES == 5, -1, COUNTRIES), NETWORKS.site
    )
    bad = faulty_rows(somewhere, np.full(30, 0.5))
    assert bad[COUNTRIES < 5].all()
    assert not bad[COUNTRIES == 5].any()


def test_one_site_of_a_country_may_be_blocked_but_not_all() -> None:
    ratio = np.ones(30)
    ratio[0] = 0.0
    assert not common_site_outage(SITES, ratio, NORMAL).any()
    ratio[COUNTRIES == 0] = 0.1
    bad = common_site_outage(SITES, ratio, NORMAL)
    assert bad[COUNTRIES == 0].all()
    assert not bad[COUNTRIES != 0].any()


def test_networks_are_not_treated_as_sites() -> None:
    assert not common_site_outage(NETWORKS, np.zeros(30), NORMAL).any()


def test_the_usual_shift_of_a_signal_survives_a_restart() -> None:
    """Five countries shake together for days: what is usual is learned, and is in the state."""
    noise, shake = noisy(3), noisy(4, spread=0.08)
    bins = []
    for time in hours(24 * 6):
        common = shake()
        row = [
            Bin(time, key(f"country:X{place}", "telescope"), 1000 * common * noise())
            for place in "ABCDE"
        ]
        bins.append((time, row))
    whole = BayesFilterDetector(EntityTree(), width=HOUR, min_history=timedelta(days=2))
    expected = run(whole, bins)
    first, second = (
        BayesFilterDetector(EntityTree(), width=HOUR, min_history=timedelta(days=2))
        for _ in range(2)
    )
    run(first, bins[:100])
    second.load(first.save())
    assert run(second, bins[100:]) == expected[100:]
