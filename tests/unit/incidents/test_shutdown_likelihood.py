import math
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from labelled_outages import Outage, area_under_curve, country_weights, read_outages

from netwatch.incidents.shutdown_likelihood import TimingFeatures, shutdown_likelihood
from netwatch.model.incident_details import ShutdownLikelihood, TimingFeature

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_NIGHT = datetime(2021, 2, 18, 18, 30, tzinfo=UTC)  # 01:00 in Yangon.
_CURFEW = TimingFeatures(
    started_at=_NIGHT,
    timezone="Asia/Yangon",
    width=timedelta(minutes=5),
    earlier=(_NIGHT - _DAY,),
    all_signals=True,
)


def _parts(found: ShutdownLikelihood) -> dict[TimingFeature, float]:
    return {one.feature: one.log_ratio for one in found.evidence}


def test_a_nightly_loss_is_consistent_and_its_parts_add_up() -> None:
    found = shutdown_likelihood(_CURFEW)
    assert found.resembles_shutdown
    assert found.log_ratio == pytest.approx(sum(_parts(found).values()))
    assert _parts(found)[TimingFeature.RECURS] == pytest.approx(math.log(38.5), abs=0.02)
    assert _parts(found)[TimingFeature.ON_THE_HOUR] == pytest.approx(math.log(2.5))
    assert _parts(found)[TimingFeature.NIGHT] == pytest.approx(math.log(1.5))


def test_a_single_odd_time_is_no_evidence() -> None:
    odd = replace(_CURFEW, started_at=_NIGHT + timedelta(hours=9, minutes=17), all_signals=False)
    found = shutdown_likelihood(odd)
    assert not found.resembles_shutdown
    assert {one.feature: one.present for one in found.evidence} == dict.fromkeys(
        (
            TimingFeature.RECURS,
            TimingFeature.ON_THE_HOUR,
            TimingFeature.NIGHT,
            TimingFeature.ALL_SIGNALS,
        ),
        False,
    )
    assert _parts(found)[TimingFeature.ALL_SIGNALS] == pytest.approx(math.log(0.09 / 0.42))
    assert _parts(found)[TimingFeature.RECURS] == pytest.approx(math.log(0.58), abs=0.01)


def test_unknown_features_have_no_weight() -> None:
    going_on = shutdown_likelihood(replace(_CURFEW, all_signals=None))
    assert {
        TimingFeature.ALL_SIGNALS,
        TimingFeature.ROUND_LENGTH,
        TimingFeature.USUAL_LENGTH,
    }.isdisjoint(_parts(going_on))
    coarse = shutdown_likelihood(replace(_CURFEW, width=_HOUR, ended_at=_NIGHT + 8 * _HOUR))
    assert TimingFeature.ON_THE_HOUR not in _parts(coarse)
    assert TimingFeature.ROUND_LENGTH not in _parts(coarse)
    assert TimingFeature.USUAL_LENGTH in _parts(coarse)


def test_a_duration_counts_once_it_is_known() -> None:
    ended = shutdown_likelihood(replace(_CURFEW, ended_at=_NIGHT + 8 * _HOUR))
    assert _parts(ended)[TimingFeature.ROUND_LENGTH] > 0
    assert _parts(ended)[TimingFeature.USUAL_LENGTH] > 0
    odd = shutdown_likelihood(replace(_CURFEW, ended_at=_NIGHT + timedelta(minutes=45)))
    assert _parts(odd)[TimingFeature.ROUND_LENGTH] < 0
    assert _parts(odd)[TimingFeature.USUAL_LENGTH] < 0


@pytest.mark.parametrize(
    ("before", "recurs"),
    [(_DAY, True), (4 * _DAY, True), (5 * _DAY, False), (_DAY / 2, False), (-_DAY, False)],
)
def test_recurrence_is_by_whole_days_back_and_never_ahead(
    *, before: timedelta, recurs: bool
) -> None:
    found = shutdown_likelihood(replace(_CURFEW, earlier=(_NIGHT - before,)))
    assert (found.evidence[0].feature, found.evidence[0].present) == (TimingFeature.RECURS, recurs)


def _weigh(outages: list[Outage], *, afterwards: bool) -> list[ShutdownLikelihood]:
    """Judge every outage from what its own scope had shown until then."""
    earlier: dict[str, list[datetime]] = defaultdict(list)
    found = []
    for one in outages:
        clues = TimingFeatures(
            one.started_at,
            one.zone,
            timedelta(minutes=5),
            tuple(earlier[one.scope]),
            one.ended_at if afterwards else None,
            one.all_signals,
        )
        found.append(shutdown_likelihood(clues))
        earlier[one.scope].append(one.started_at)
    return found


@pytest.mark.parametrize(
    ("afterwards", "raw", "alike"), [(False, 0.91, 0.70), (True, 0.92, 0.72)], ids=["live", "after"]
)
def test_labelled_outages_are_separated(*, afterwards: bool, raw: float, alike: float) -> None:
    outages = read_outages()
    scores = [one.log_ratio for one in _weigh(outages, afterwards=afterwards)]
    labels = [one.directed for one in outages]
    assert (len(outages), sum(labels)) == (1694, 165)
    assert area_under_curve(scores, labels, [1.0] * len(scores)) >= raw
    assert area_under_curve(scores, labels, country_weights(outages)) >= alike


def test_the_description_is_rarely_wrong() -> None:
    outages = read_outages()
    said = [one.resembles_shutdown for one in _weigh(outages, afterwards=False)]
    right = sum(one.directed for one, spoken in zip(outages, said, strict=True) if spoken)
    assert right / sum(said) >= 0.93
    assert right / sum(one.directed for one in outages) >= 0.6
