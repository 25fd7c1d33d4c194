"""Three lying agents in ten open no incident; without attribution they would."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.detection.count_matrices import VantageTargetLabels, table_from_matrix
from benchmarks.detection.fleet import FleetSize, make_fleet
from netwatch.config import IncidentConfig
from netwatch.detect.detector import BayesFilterDetector
from netwatch.incidents.tracker import Tracker
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.incident import Incident
from netwatch.model.series import Bin, SeriesKey
from netwatch.signals.attribution.countable import countable_cells
from netwatch.signals.attribution.model import attribute

START = datetime(2026, 1, 8, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
HONEST_BINS, BINS = 60, 110
COUNTRY = Entity.parse("country:XX")
NETWORKS = [Entity.parse(f"asn:{64500 + number}") for number in range(9)]


def bins(seed: int, share: float, *, attributed: bool) -> Iterator[tuple[datetime, list[Bin]]]:
    """Yield the bins of nine networks of five targets; six of twenty lie after a while."""
    random = np.random.default_rng(seed)
    fleet = make_fleet(seed, FleetSize(bins=BINS, blocked=0.01, dead=0.01))
    liars = random.permutation(20)[:6]
    labels = VantageTargetLabels(controls=fleet.controls)
    for number in range(BINS):
        tried, got = fleet.trials[number], fleet.successes[number]
        if number >= HONEST_BINS:
            got[liars] = random.binomial(tried[liars], share)
            got[liars, :5] = tried[liars, :5]  # their controls are always well
        table = table_from_matrix(tried, got, fleet.network, labels)
        counts = (
            countable_cells(table, attribute(table)) if attributed else np.ones(len(table.trials))
        )
        value = table.sum_by_target(table.successes * counts)
        total = table.sum_by_target(table.trials * counts)
        time = START + number * WIDTH
        yield (
            time,
            [
                Bin(time, SeriesKey("reachability", entity), value[part].sum(), total[part].sum())
                for entity, part in zip(NETWORKS, np.arange(5, 50).reshape(9, 5), strict=True)
            ],
        )


def incidents(seed: int, share: float, *, attributed: bool) -> list[Incident]:
    places = [EntityInfo(COUNTRY, "Testland", None)]
    places += [EntityInfo(entity, str(entity), COUNTRY) for entity in NETWORKS]
    atlas = EntityTree(places)
    detector = BayesFilterDetector(atlas, width=WIDTH, min_history=WIDTH * 40)
    tracker = Tracker(atlas, width=WIDTH, config=IncidentConfig())
    revisions: list[Incident] = []
    for time, counted in bins(seed, share, attributed=attributed):
        levels = detector.step(time, counted, frozen=tracker.frozen())
        revisions += tracker.step(levels)
    return revisions


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_liars_open_no_incident(share: float) -> None:
    assert incidents(7, share, attributed=True) == []


def test_the_same_liars_open_an_incident_without_attribution() -> None:
    assert any(one.entity == COUNTRY for one in incidents(7, 0.0, attributed=False))
