"""A varied series of bins, evaluated in one run and with a restart before every bin."""

from datetime import datetime, timedelta
from functools import cache

import msgspec
import pytest
from series import COUNTRY, HOUR, Bins, country_atlas, hours, key, noisy

from netwatch.analysis.pipeline import Pipeline, PipelineResult
from netwatch.config import IncidentConfig
from netwatch.detect.detector import BayesFilterDetector
from netwatch.incidents.tracker import Tracker
from netwatch.model.incident import RevisionReason
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import AGENTS
from netwatch.signals.presence.disconnects import DisconnectEvidence

DAYS = 12
NETWORKS = 6
NATION = key(str(COUNTRY), AGENTS)
SITE = key("domain:example.org", "blocking:XT")
MOVED = key("asn:64501", "bgp")
FIRST_NIGHT, LAST_NIGHT = 4, 9


def is_night(hour: int) -> bool:
    """Return whether the country is cut: four hours a night, for some nights, one of them not."""
    day, clock = divmod(hour, 24)
    return FIRST_NIGHT <= day <= LAST_NIGHT and 18 <= clock < 22


def world() -> Bins:
    """Return nightly cuts, addresses that move for good, few counts, a blocked site, and gaps."""
    noise, rough, bins = noisy(3), noisy(5, spread=0.3), Bins()
    for hour, time in enumerate(hours(24 * DAYS)):
        left = 0.05 if is_night(hour) else 1.0
        row = [Bin(time, SITE, 10.0 if 24 * 6 + 3 <= hour < 24 * 6 + 12 else 98.0, 100.0)]
        row.append(Bin(time, NATION, float(round(50 * (0.2 + 0.8 * left))), 55.0))
        for number in range(NETWORKS):
            entity = f"asn:{64496 + number}"
            routes = 400 * noise() * (0.5 if number == NETWORKS - 1 and hour >= 24 * 5 else 1)
            row += [
                Bin(time, key(entity), 180 * left * noise(), 200.0),
                Bin(time, key(entity, "bgp"), round(routes)),
                Bin(time, key(entity, "telescope"), float(round(5 * left * max(rough(), 0)))),
                Bin(time, key(entity, AGENTS), float(round(9 * (0.2 + 0.8 * left))), 10.0),
            ]
        bins.append((time, [] if hour % 61 == 60 else row))
    return bins


def disconnects(time: datetime) -> DisconnectEvidence:
    """Return evidence at the start of every cut, and sometimes an own fault."""
    hour = (time - hours(1)[0]) // HOUR
    if hour % 50 == 49:
        return DisconnectEvidence(masked=True, operator_alert="an own fault")
    return (
        DisconnectEvidence({NATION: 8.0})
        if is_night(hour) and hour % 24 == 18
        else DisconnectEvidence()
    )


def new_detector() -> BayesFilterDetector:
    """Return a detector without history."""
    return BayesFilterDetector(country_atlas(NETWORKS), width=HOUR, min_history=timedelta(days=3))


def new_pipeline(detector: BayesFilterDetector | None = None) -> Pipeline:
    """Return a pipeline as a new process creates it."""
    tracker = Tracker(country_atlas(NETWORKS), width=HOUR, config=IncidentConfig())
    return Pipeline(detector or new_detector(), tracker, lambda _: [], disconnects=disconnects)


@cache
def undisturbed() -> tuple[list[PipelineResult], list[bytes]]:
    """Return the results of one run, and the state after every bin."""
    pipeline = new_pipeline()
    results, states = [], []
    for time, bins in world():
        results.append(pipeline.step(time, bins))
        states.append(pipeline.save())
    return results, states


def detector_part(state: bytes) -> bytes:
    """Return the detector's part of a state; the order in the tracker's part may differ."""
    return bytes(msgspec.msgpack.decode(state)["detector"])


def levels(series: SeriesKey) -> list[float]:
    """Return the known levels of one series."""
    results, _ = undisturbed()
    every = (level for step in results for level in step.levels if level.series == series)
    return [level.value for level in every if level.value is not None]


def test_the_bins_cause_every_kind_of_revision() -> None:
    results, _ = undisturbed()
    revisions = [revision for step in results for revision in step.revisions]
    reasons = {revision.reason for revision in revisions}
    assert reasons >= {
        RevisionReason.CONFIRMED,
        RevisionReason.RECURRING,
        RevisionReason.RECURRED,
        RevisionReason.RECURRENCE_ENDED,
    }
    assert {revision.kind for revision in revisions} == {"outage", "blocking"}
    assert any(revision.details.forecast for revision in revisions)
    # Half of the routes are gone for good, and ordinary from the third day on.
    moved = levels(MOVED)
    assert min(moved) == pytest.approx(0.5, abs=0.05)
    assert moved[-1] == pytest.approx(1.0, abs=0.05)
    assert any(step.operator_alert for step in results)


def probabilities(*, evidence: float = 0.0, expected: bool = False) -> dict[SeriesKey, float]:
    """Return the probability of each loss in an ordinary bin, given extra knowledge."""
    number = 24 * FIRST_NIGHT - 2
    time, bins = world()[number]
    detector = new_detector()
    new_pipeline(detector).load(undisturbed()[1][number - 1])
    # Evidence about an unknown series is ignored.
    detector.add_log_likelihoods({NATION: evidence, key("country:XU", AGENTS): evidence})
    due = [NATION] if expected else []
    levels = detector.step(time, bins, frozen=(), expected=due)
    return {level.series: level.probability for level in levels}


def test_external_evidence_affects_its_own_series_only() -> None:
    plain = probabilities()
    for more in (probabilities(evidence=2.0), probabilities(expected=True)):
        assert more[NATION] > plain[NATION]
        others = {series for series in plain if series.entity != NATION.entity}
        assert {series: more[series] for series in others} == {
            series: plain[series] for series in others
        }


def test_a_restart_before_any_bin_changes_nothing() -> None:
    results, states = undisturbed()
    pipeline = new_pipeline()
    for (time, bins), wanted, state in zip(world(), results, states, strict=True):
        again = new_pipeline()
        again.load(pipeline.save())
        assert again.tracker.frozen() == pipeline.tracker.frozen(), time
        assert again.tracker.expected(time) == pipeline.tracker.expected(time), time
        pipeline = again
        assert pipeline.step(time, bins) == wanted, time
        assert detector_part(pipeline.save()) == detector_part(state), time
