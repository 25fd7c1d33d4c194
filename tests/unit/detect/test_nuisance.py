"""What falls everywhere at once is a signal at fault; what falls beside its siblings is no site."""

from datetime import timedelta

import numpy as np

from netwatch.detect.nuisance import Groups, NuisanceTest, sites_together

WIDTH = timedelta(minutes=30)
COUNTRIES = np.repeat(np.arange(6), 5)
NETWORKS = Groups(np.zeros(30, np.intp), COUNTRIES, np.zeros(30, bool))
SITES = Groups(np.zeros(30, np.intp), COUNTRIES, np.ones(30, bool))
NORMAL = np.ones(30, bool)


def test_a_signal_that_falls_in_every_country_says_nothing() -> None:
    ratio = np.full(30, 0.65)
    assert NuisanceTest(WIDTH).faulty(NETWORKS, ratio, NORMAL).all()


def test_a_country_that_falls_alone_is_believed() -> None:
    ratio = np.ones(30)
    ratio[COUNTRIES == 2] = 0.0
    assert not NuisanceTest(WIDTH).faulty(NETWORKS, ratio, NORMAL).any()


def test_a_few_countries_are_no_control_group() -> None:
    few = Groups(np.zeros(15, np.intp), COUNTRIES[:15], np.zeros(15, bool))
    ratio = np.full(15, 0.1)
    assert not NuisanceTest(WIDTH).faulty(few, ratio, NORMAL[:15]).any()


def test_two_signals_are_judged_apart() -> None:
    both = Groups(np.repeat([0, 1], 30), np.tile(COUNTRIES, 2), np.zeros(60, bool))
    ratio = np.concatenate([np.full(30, 0.6), np.ones(30)])
    bad = NuisanceTest(WIDTH).faulty(both, ratio, np.ones(60, bool))
    assert bad[:30].all()
    assert not bad[30:].any()


def test_the_usual_sway_is_learned() -> None:
    """A signal that always sways by 3 % is not at fault when it does so again."""
    test, ratio = NuisanceTest(timedelta(days=1)), np.full(30, 0.985)
    for _ in range(40):
        assert not test.faulty(NETWORKS, ratio, NORMAL).any()
    assert test.scale[0] < 0.02


def test_one_site_of_a_country_may_be_blocked_but_not_all() -> None:
    ratio = np.ones(30)
    ratio[0] = 0.0
    assert not sites_together(SITES, ratio, NORMAL).any()
    ratio[COUNTRIES == 0] = 0.1
    bad = sites_together(SITES, ratio, NORMAL)
    assert bad[COUNTRIES == 0].all()
    assert not bad[COUNTRIES != 0].any()


def test_networks_are_never_taken_for_sites() -> None:
    assert not sites_together(NETWORKS, np.zeros(30), NORMAL).any()
