"""What several signals say together, and when people stay away rather than networks."""

from datetime import timedelta

import numpy as np
import pytest
from series import COUNTRY, START, Bins, by_key, country_atlas, key, noisy, run

from netwatch.detect.detector import BayesFilterDetector
from netwatch.detect.fusion import Fused, Fusion
from netwatch.model.series import Bin
from netwatch.model.signals import CONNECTIVITY

SIGNALS = ["probing", "telescope", "agents"]
MANY = [np.inf] * 3
HALF_HOUR = timedelta(minutes=30)


def fuse(ratio: list[float], probability: list[float], observations: list[float]) -> Fused:
    """Return what one entity's probing, telescope and agents say together."""
    fusion = Fusion(np.zeros(3, np.intp), SIGNALS)
    return fusion.fuse(
        np.array(ratio),
        np.array(probability),
        depth=np.array(ratio),
        observations=np.array(observations),
    )


def test_two_passive_signals_outweigh_the_active_one() -> None:
    fused = fuse([1.0, 0.1, 0.1], [1e-4, 0.9999, 0.9999], MANY)
    assert fused.probability[0] > 0.95
    assert SIGNALS[fused.rows[0]] != "probing"


def test_lower_demand_is_not_a_loss() -> None:
    """A holiday takes a third of the traffic and some volunteers; the network answers as ever."""
    fused = fuse([0.98, 0.68, 0.8], [1e-4, 0.9999, 0.9999], MANY)
    assert fused.probability[0] <= 0.5


@pytest.mark.parametrize("unsure", [0.3, 0.01])
def test_an_active_signal_that_is_unsure_does_not_explain_it_away(unsure: float) -> None:
    fused = fuse([0.9, 0.68, 0.8], [unsure, 0.9999, 0.9999], MANY)
    assert fused.probability[0] > 0.95


def test_a_missing_active_signal_explains_nothing() -> None:
    fused = fuse([np.nan, 0.68, 0.8], [1e-4, 0.9999, 0.9999], MANY)
    assert fused.probability[0] > 0.95


@pytest.mark.parametrize(("volunteers", "sure"), [(1.0, False), (2.0, False), (5.0, True)])
def test_one_leaving_volunteer_is_weak_evidence(volunteers: float, sure: bool) -> None:  # noqa: FBT001 - a parameter of the test
    fused = fuse([1.0, 0.1, 0.0], [1e-4, 0.99, 1 - 1e-9], [np.inf, np.inf, volunteers])
    assert bool(fused.probability[0] > 0.95) is sure


def test_a_day_off_opens_no_incident_of_a_country() -> None:
    """Traffic falls by a third and a tenth of the volunteers is away, while probing is steady."""
    noise, bins = noisy(7), Bins()
    per_day = timedelta(days=1) // HALF_HOUR
    for number in range(16 * per_day):
        time, away = START + number * HALF_HOUR, number >= 15 * per_day
        row = []
        for network in range(6):
            entity = f"asn:{64496 + network}"
            values = {
                "probing": (900 * noise(), 1000.0),
                "traffic": (5000 * noise() * (0.65 if away else 1), None),
                "agents": (round(36 * (0.8 if away else 1) * noise()), 40.0),
            }
            row += [Bin(time, key(entity, name), *value) for name, value in values.items()]
        bins.append((time, row))
    detector = BayesFilterDetector(country_atlas(), width=HALF_HOUR, min_history=timedelta(days=14))
    steps = run(detector, bins)
    together = list(by_key(steps, key(str(COUNTRY), CONNECTIVITY)))
    assert len(together) == 2 * per_day
    assert max(level.probability for level in together) <= 0.5
    alone = list(by_key(steps, key(str(COUNTRY), "traffic")))
    assert max(level.probability for level in alone) > 0.95
